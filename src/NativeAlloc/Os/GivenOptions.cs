using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <summary>
/// What the program's code gives for options, at most once and only before they are read. One field decides between the
/// two, so that a program that gives them on one thread and allocates on another gets all of them or an error, never
/// some.
/// </summary>
/// <remarks>
/// The values stand in the order of <see cref="OptionTable.All"/>. A dictionary would cost every program's first
/// allocation a millisecond of compilation.
/// </remarks>
internal static class GivenOptions
{
    private static readonly long?[] s_nothing = new long?[OptionTable.All.Length];

    /// <summary>
    /// Null until something is given or the options are read, whichever comes first. By Interlocked; never changed
    /// after that.
    /// </summary>
    private static long?[]? s_given;

    /// <summary>False, and nothing done, where options have been given or read.</summary>
    internal static bool TryGive(long?[] values) => Interlocked.CompareExchange(ref s_given, values, null) == null;

    /// <summary>What was given; from now on nothing can be.</summary>
    internal static long?[] Take() => Interlocked.CompareExchange(ref s_given, s_nothing, null) ?? s_nothing;

    /// <summary>The place of an option among the values.</summary>
    internal static int IndexOf(Option option)
    {
        // Not Array.IndexOf, which makes a comparer by reflection.
        Option[] all = OptionTable.All;
        int index = 0;
        while (!ReferenceEquals(all[index], option)) index++;
        return index;
    }
}
