using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Charts;

/// <summary>What results depend on: the machine, its system, the versions, and the command that was given.</summary>
internal static class Machine
{
    private const string Project = "benchmarks/NativeAlloc.Benchmarks";

    /// <summary>The command with which the same can be measured again.</summary>
    public static string Command => string.Join(' ', (string[])
        ["dotnet run -c Release --project", Project, "--", .. Environment.GetCommandLineArgs().Skip(1).Select(Quote)]);

    /// <summary>Names and values, for a table.</summary>
    public static IReadOnlyList<(string Name, string Value)> Describe(int runs)
    {
        string version = typeof(NativeAllocator).Assembly
            .GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        IEnumerable<string> options = Environment.GetEnvironmentVariables().Keys.Cast<string>()
            .Where(name => name.StartsWith("NATIVEALLOC_", StringComparison.Ordinal)).Order()
            .Select(name => $"{name}={Environment.GetEnvironmentVariable(name)}");
        return
        [
            ("measured", DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
            ("processor", $"{Field("/proc/cpuinfo", "model name")}, {Environment.ProcessorCount} for this process"),
            ("memory", Field("/proc/meminfo", "MemTotal")),
            ("limit of the container", Read("/sys/fs/cgroup/memory.max")),
            ("huge pages", Read("/sys/kernel/mm/transparent_hugepage/enabled")),
            ("load when it ended", Read("/proc/loadavg")),
            ("system", $"{RuntimeInformation.OSDescription}, {RuntimeInformation.OSArchitecture}"),
            ("runtime", RuntimeInformation.FrameworkDescription),
            ("NativeAlloc", version),
            .. CLibrary.All.Where(library => library.Missing is null)
                .Select(library => (library.Name, Path.GetFileName(library.LoadName))),
            ("each process has", $"{Text(Tiering.ChildEnvironment)} {Text(CLibrary.RequiredEnvironment)}"),
            ("options of the library", options.DefaultIfEmpty("as they come").Aggregate((a, b) => $"{a} {b}")),
            ("runs of each pair", runs.ToString(CultureInfo.InvariantCulture)),
        ];
    }

    private static string Text(KeyValuePair<string, string> variable) => $"{variable.Key}={variable.Value}";

    private static string Quote(string argument) =>
        argument.Any(c => !char.IsLetterOrDigit(c) && !"-_./:=,+".Contains(c)) || argument.Length == 0
            ? $"'{argument.Replace("'", "'\\''", StringComparison.Ordinal)}'"
            : argument;

    private static string Field(string file, string name)
    {
        string? line = Lines(file).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal));
        return line is null ? "unknown" : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }

    private static string Read(string file) => Lines(file).FirstOrDefault() ?? "unknown";

    private static string[] Lines(string file)
    {
        try
        {
            return File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
