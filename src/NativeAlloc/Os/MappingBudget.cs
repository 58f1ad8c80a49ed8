namespace NativeAlloc.Os;

/// <summary>
/// How many mappings this library may make. The system limits them per process (<c>vm.max_map_count</c>, 65,530 unless
/// told otherwise), and at the limit everything fails that needs one: the managed heap, new threads, loaded libraries.
/// So what maps counts here first and stays within half of them; the other half is everybody else's.
/// </summary>
/// <remarks>
/// A <b>mapping</b> is what the system keeps a record of: addresses side by side with the same access and the same
/// memory behind them. Any thread; lock-free.
/// </remarks>
internal static class MappingBudget
{
    private const int UsualSystemLimit = 65_530; // where the system does not say: DEFAULT_MAX_MAP_COUNT in linux/mm.h
    private const int Share = 2;

    /// <summary>By Interlocked and Volatile.</summary>
    private static int s_inUse;

    /// <summary>By Volatile; only tests change it.</summary>
    private static int s_limit = LimitOf(Machine.Read(SystemFigure.MappingLimit));

    /// <summary>Mappings that are counted now.</summary>
    internal static int InUse => Volatile.Read(ref s_inUse);

    /// <summary>As many as there may be. Tests lower it; what is in use already stays.</summary>
    internal static int Limit
    {
        get => Volatile.Read(ref s_limit);
        set => Volatile.Write(ref s_limit, value);
    }

    /// <summary>This library's share of the system's limit.</summary>
    internal static int LimitOf(ulong? system) => (int)Math.Min(system ?? UsualSystemLimit, int.MaxValue) / Share;

    /// <summary>
    /// Counts mappings that are about to be made; false, and nothing counted, where they would be too many.
    /// </summary>
    internal static bool TryTake(int mappings)
    {
        int inUse = InUse;
        while (mappings <= Limit - inUse)
        {
            int seen = Interlocked.CompareExchange(ref s_inUse, inUse + mappings, inUse);
            if (seen == inUse) return true;
            inUse = seen;
        }
        return false;
    }

    /// <summary>Counts mappings no more that are gone.</summary>
    internal static void Give(int mappings) => Interlocked.Add(ref s_inUse, -mappings);
}
