using System.Diagnostics;
using System.Globalization;

namespace NativeAlloc.Clients;

/// <summary>
/// Runs a library that nobody here wrote, doing real work, with its memory from NativeAlloc or from where it has it
/// otherwise. <c>NativeAlloc.Clients</c> alone runs all of them in both ways, each in a process of its own, and prints
/// a table. With a client's name and <c>native</c> or <c>system</c> it runs that one in this process and prints its
/// row.
/// </summary>
internal static class Program
{
    /// <summary>What a row begins with.</summary>
    internal const string RowPrefix = "row: ";

    /// <summary>The clients: each does its work with native memory or without, and throws where something is
    /// wrong.</summary>
    internal static readonly Dictionary<string, Action<bool, int>> Clients = new()
    {
        ["sqlite"] = SqliteClient.Run,
        ["lua"] = LuaClient.Run,
        ["openssl"] = TlsClient.Run,
        ["zlib"] = ZlibClient.Run,
        ["arrow"] = ArrowClient.Run,
        ["imagesharp"] = ImageClient.Run,
        ["kestrel"] = KestrelClient.Run,
        ["onnxruntime"] = OnnxClient.Run,
    };

    private static int Main(string[] args)
    {
        if (args.Length < 2) return RunAll(args.Length == 1 ? args[0] : null);
        int scale = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 1;
        bool native = args[1] == "native";
        long start = Stopwatch.GetTimestamp();
        Clients[args[0]](native, scale);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        long live = native ? NativeAllocator.GetStatistics().LiveBlocks : 0;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{RowPrefix}{args[0]} {args[1]} {milliseconds:F0} {PeakKiB()} {live}"));
        return 0;
    }

    private static int RunAll(string? only)
    {
        Console.WriteLine("| client | memory | time, ms | peak resident, KiB | blocks live at the end |");
        Console.WriteLine("|---|---|---|---|---|");
        foreach (string client in Clients.Keys.Where(name => only == null || name == only))
        {
            foreach (string memory in new[] { "system", "native" })
            {
                string[] row = RunChild(client, memory);
                Console.WriteLine($"| {string.Join(" | ", row)} |");
            }
        }
        return 0;
    }

    private static string[] RunChild(string client, string memory)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(Program).Assembly.Location);
        foreach (string argument in new[] { client, memory, "5" }) start.ArgumentList.Add(argument);
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        string? row = output.Split('\n').FirstOrDefault(line => line.StartsWith(RowPrefix, StringComparison.Ordinal));
        return row == null
            ? [client, memory, process.ExitCode == 3 ? "not installed" : "failed", "", ""]
            : row[RowPrefix.Length..].Trim().Split(' ');
    }

    // The most memory that the process had, as Linux counts it.
    private static string PeakKiB() => File.Exists("/proc/self/status")
        ? File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM", StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]
        : (Process.GetCurrentProcess().PeakWorkingSet64 / 1024).ToString(CultureInfo.InvariantCulture);

    /// <summary>Fails the run.</summary>
    internal static void Check(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException(what);
    }

    /// <summary>Ends the process with the code that says that something is not installed.</summary>
    internal static void NotInstalled(string what)
    {
        Console.WriteLine($"not installed: {what}");
        Environment.Exit(3);
    }
}
