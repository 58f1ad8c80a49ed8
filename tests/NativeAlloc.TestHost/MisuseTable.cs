using System.Diagnostics;

namespace NativeAlloc.TestHost;

/// <summary>
/// Makes the table of docs/safety.md: each mistake of <see cref="Misuse"/> with each allocator that is there, in a
/// process of its own.
/// </summary>
internal static class MisuseTable
{
    internal const string Name = "misuse-table";

    // An allocator that was broken by a mistake may never come back.
    private static readonly TimeSpan s_longest = TimeSpan.FromMinutes(2);

    /// <summary>A column: a heading, the value of NATIVEALLOC_CHECK, and another allocator's library.</summary>
    private sealed record Arm(string Heading, string Check, string? Library = null, string Prefix = "");

    internal static int Run()
    {
        const string System = "/usr/lib/x86_64-linux-gnu/";
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        string downloaded = home + "/.cache/nativealloc-benchmarks/allocators/";
        Arm[] arms =
        [
            new("NativeAlloc", "0"), new("check mode", "1"), new("glibc", "0", "libc.so.6"),
            new("mimalloc 3", "0", downloaded + "libmimalloc.so.3", "mi_"),
            new("mimalloc 2", "0", System + "libmimalloc.so.2", "mi_"),
            new("mimalloc 2 secure", "0", System + "libmimalloc-secure.so.2", "mi_"),
            new("snmalloc checked", "0", System + "libsnmallocshim-checks.so"),
            new("tcmalloc", "0", System + "libtcmalloc_minimal.so.4"),
        ];
        foreach (Arm missing in arms.Where(arm => !IsThere(arm)))
            Console.Error.WriteLine($"{missing.Heading} is left out: there is no {missing.Library}. The benchmarks' " +
                "get-allocators and the packages of the system have some; others have to be built.");
        arms = [.. arms.Where(IsThere)];
        Write("mistake", arms.Select(arm => arm.Heading));
        Write("---", arms.Select(_ => "---"));
        foreach (string mistake in Misuse.General.Keys) Write(mistake, arms.Select(arm => Try(mistake, arm)));
        foreach (string mistake in Misuse.Own.Keys)
            Write(mistake, arms.Select(arm => arm.Library == null ? Try(mistake, arm) : ""));
        return 0;
    }

    private static bool IsThere(Arm arm) =>
        arm.Library == null || !Path.IsPathRooted(arm.Library) || File.Exists(arm.Library);

    private static void Write(string first, IEnumerable<string> cells) =>
        Console.WriteLine($"| {first} | {string.Join(" | ", cells)} |");

    private static string Try(string mistake, Arm arm)
    {
        string host = typeof(MisuseTable).Assembly.Location;
        List<string> arguments = [host, Misuse.Name, mistake];
        if (arm.Library != null) arguments.AddRange([arm.Library, arm.Prefix]);
        ProcessStartInfo start = new(Environment.ProcessPath!, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["NATIVEALLOC_CHECK"] = arm.Check;
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(), output = process.StandardOutput.ReadToEndAsync();
        if (process.WaitForExit(s_longest)) return Judge(output.Result, errors.Result, process.ExitCode);
        process.Kill();
        return "hangs";
    }

    private static string Judge(string output, string errors, int exitCode)
    {
        const int SegmentationFault = 139;
        if (output.Contains("DllNotFound", StringComparison.Ordinal)) return "";
        bool isNoticed = exitCode != 0 || output.Contains(Misuse.Thrown, StringComparison.Ordinal);
        if (exitCode == SegmentationFault) return "crash";
        if (isNoticed) return output.Contains(Misuse.Passed, StringComparison.Ordinal) ? "later" : "at the call";
        if (errors.Contains("were not freed", StringComparison.Ordinal)) return "at exit";
        if (output.Contains("reads 0x6b", StringComparison.Ordinal)
            || output.Contains("reads 0x5a", StringComparison.Ordinal)) return "reads poison";
        if (output.Contains("two owners", StringComparison.Ordinal)) return "**two owners**";
        return output.Contains("handed out", StringComparison.Ordinal) ? "**handed out**" : "no";
    }
}
