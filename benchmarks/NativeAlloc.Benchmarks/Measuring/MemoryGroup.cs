using System.Diagnostics;
using System.Globalization;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// A control group of the kernel's (cgroup, version 2) with a limit on memory, for one child process, as a container
/// has one. What exceeds the limit is killed. It goes with this object, when the child has ended.
/// </summary>
internal sealed class MemoryGroup : IDisposable
{
    private const string Root = "/sys/fs/cgroup";

    private static int s_made;

    private readonly string _folder;

    private MemoryGroup(string folder) => _folder = folder;

    /// <summary>Makes a group, or says why that cannot be.</summary>
    public static MemoryGroup? CreateOrNull(long bytes, out string problem)
    {
        problem = $"{Root} is no cgroup of version 2 with a memory controller";
        if (!ListHas(Path.Combine(Root, "cgroup.controllers"), "memory"))
            return null;

        // A group that has processes has no limits to give to groups below it, so it mostly is the parent where this
        // works.
        string own = Root + OwnGroup();
        string[] parents = own.Length > Root.Length + 1 ? [own, Path.GetDirectoryName(own)!] : [Root];
        problem = $"neither {string.Join(" nor ", parents)} gives limits on memory to groups below it";
        foreach (string parent in parents.Where(parent =>
            ListHas(Path.Combine(parent, "cgroup.subtree_control"), "memory")))
        {
            MemoryGroup group = new(Path.Combine(parent,
                $"nativealloc-bench-{Environment.ProcessId}-{Interlocked.Increment(ref s_made)}"));
            try
            {
                Directory.CreateDirectory(group._folder);
                File.WriteAllText(Path.Combine(group._folder, "memory.max"),
                    bytes.ToString(CultureInfo.InvariantCulture));
                if (File.Exists(Path.Combine(group._folder, "memory.swap.max")))
                    File.WriteAllText(Path.Combine(group._folder, "memory.swap.max"), "0");
                if (group.LetsIn())
                    return group;
                problem = $"processes may not be moved to {group._folder}";
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                problem = e.Message;
            }

            group.Dispose();
        }

        return null;
    }

    /// <summary>
    /// The same program, in the group from its first instruction on: the runtime reads the limit when it starts.
    /// </summary>
    public ProcessStartInfo Enclose(ProcessStartInfo program)
    {
        ProcessStartInfo start = Entering(program.FileName);
        foreach (string argument in program.ArgumentList)
            start.ArgumentList.Add(argument);
        start.Environment.Clear();
        foreach (KeyValuePair<string, string?> variable in program.Environment)
            start.Environment.Add(variable);
        return start;
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(_folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It stays, empty and without effect.
        }
    }

    /// <summary>A shell that moves itself to the group and becomes a program.</summary>
    private ProcessStartInfo Entering(string program) =>
        new("/bin/sh", ["-c", "echo $$ > \"$0\" && exec \"$@\"", Path.Combine(_folder, "cgroup.procs"), program]);

    /// <summary>Whoever may make a group need not have the right to move processes to it.</summary>
    private bool LetsIn()
    {
        ProcessStartInfo start = Entering("true");
        start.RedirectStandardError = true;
        using Process process = Process.Start(start)!;
        process.StandardError.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0;
    }

    /// <summary>This process's group, from the root on: "/" if it is the root.</summary>
    private static string OwnGroup()
    {
        const string Unified = "0::";
        string? line = File.ReadLines("/proc/self/cgroup")
            .FirstOrDefault(line => line.StartsWith(Unified, StringComparison.Ordinal));
        return line?[Unified.Length..] ?? "/";
    }

    private static bool ListHas(string file, string word) =>
        File.Exists(file) && File.ReadAllText(file).Split([' ', '\n']).Contains(word);
}
