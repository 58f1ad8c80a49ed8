using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// A limit on the memory of a child: a control group's where one can be made. Elsewhere the library gets it as its own
/// option, and other allocators have none: what they come to is then a figure to compare with the limit.
/// </summary>
internal static class MemoryLimit
{
    private static readonly Dictionary<long, string?> s_problems = [];

    /// <summary>What the results depend on.</summary>
    public static string Describe(long mib) => Problem(mib << 20) is { } problem
        ? $"no cgroup could be set ({problem}): nativealloc has a resident limit of {mib} MiB by its option, the " +
            "others have none"
        : $"each process is in a cgroup with a limit of {mib} MiB";

    /// <summary>Sets the limit for a child that is about to start.</summary>
    /// <returns>What must live as long as the child; null if nothing.</returns>
    public static MemoryGroup? Set(ref ProcessStartInfo start, long bytes)
    {
        if (MemoryGroup.CreateOrNull(bytes, out _) is { } group)
        {
            start = group.Enclose(start);
            return group;
        }

        KeyValuePair<string, string> option = LibraryEnvironment.ResidentLimit(bytes);
        start.Environment[option.Key] = option.Value;
        return null;
    }

    private static string? Problem(long bytes)
    {
        if (!s_problems.TryGetValue(bytes, out string? problem))
        {
            using MemoryGroup? group = MemoryGroup.CreateOrNull(bytes, out string reason);
            s_problems[bytes] = problem = group is null ? reason : null;
        }

        return problem;
    }
}
