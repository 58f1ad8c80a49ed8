using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>
/// A temporary folder with what children share: decoded traces, and the C replayer. It goes when the comparison ends.
/// </summary>
internal sealed class Staging : IDisposable
{
    private const string Compiler = "cc";

    private readonly string _folder = Directory.CreateTempSubdirectory("nativealloc-bench-").FullName;
    private readonly Dictionary<IWorkload, string?> _files = [];

    private readonly PosixSignalRegistration[] _signals;

    public Staging() => _signals =
    [
        PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => Delete()),
        PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => Delete()),
    ];

    /// <summary>The C replayer, once it is built.</summary>
    public string? Replayer { get; private set; }

    /// <summary>Null if there is a C compiler, else the remedy.</summary>
    public static string? CompilerMissing =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
            .Any(folder => File.Exists(Path.Combine(folder, Compiler)))
            ? null
            : $"there is no C compiler ({Compiler}); get one with: apt-get install gcc libc6-dev";

    /// <exception cref="InvalidDataException">The workload's input is damaged.</exception>
    public void Add(IWorkload workload) => _files.Add(workload, workload.Stage(_folder));

    public string? FileOf(IWorkload workload) => _files[workload];

    /// <summary>Compiles <c>replay.c</c>; returns what went wrong, if something did.</summary>
    public string? BuildReplayer()
    {
        if (CompilerMissing is { } problem)
            return problem;

        string output = Path.Combine(_folder, "replay");
        string source = Path.Combine(AppContext.BaseDirectory, "native", "replay.c");

        // The compiler must not know what malloc means, lest it leaves calls out.
        ProcessStartInfo start = new(Compiler, ["-O2", "-fno-builtin", "-pthread", "-o", output, source])
        {
            RedirectStandardError = true,
        };
        try
        {
            using Process process = Process.Start(start)!;
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0)
                return $"compiling {source} failed: {errors.Split('\n')[0]}";
        }
        catch (Win32Exception e)
        {
            return $"{Compiler} could not be started: {e.Message}";
        }

        Replayer = output;
        return null;
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals)
            signal.Dispose();
        Delete();
    }

    private void Delete() => Directory.Delete(_folder, recursive: true);
}
