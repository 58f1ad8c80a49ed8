using System.Runtime.CompilerServices;

namespace NativeAlloc.Os;

/// <summary>
/// What this library has reserved of addresses, to give it back as a whole when the library itself is unloaded. That is
/// two regions and some tables; all else lies inside of them.
/// </summary>
internal static class Reservations
{
    private const int Most = 32; // twice as many as there are; one beyond would stay reserved

    private static NativeLock s_lock;

    /// <summary>
    /// In use up to the count. Under the lock. It is written by its index alone: a write through a reference of another
    /// type was an access violation in programs that were compiled ahead of time for arm64 (.NET 10.0.12).
    /// </summary>
    private static Ranges s_ranges;

    private static int s_count;

    /// <summary>Notes addresses that were reserved.</summary>
    internal static void Add(nuint address, nuint bytes)
    {
        s_lock.Acquire();
        if (s_count < Most) s_ranges[s_count++] = (address, bytes);
        s_lock.Release();
    }

    /// <summary>Notes that they were released, or a range that is not here.</summary>
    internal static void Remove(nuint address)
    {
        s_lock.Acquire();
        for (int i = 0; i < s_count; i++)
        {
            if (s_ranges[i].Address != address) continue;
            s_ranges[i] = s_ranges[--s_count];
            break;
        }
        s_lock.Release();
    }

    /// <summary>Takes one out; false where there is none left.</summary>
    internal static bool TryTake(out nuint address, out nuint bytes)
    {
        s_lock.Acquire();
        bool any = s_count != 0;
        (address, bytes) = any ? s_ranges[--s_count] : default;
        s_lock.Release();
        return any;
    }

    [InlineArray(Most)]
    private struct Ranges
    {
        private (nuint Address, nuint Bytes) _first;
    }
}
