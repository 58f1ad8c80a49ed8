using System.Diagnostics;
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

    /// <summary>In use up to the count. Under the lock.</summary>
    private static Ranges s_ranges;

    private static int s_count;

    /// <summary>Notes addresses that were reserved.</summary>
    internal static void Add(nuint address, nuint bytes)
    {
        s_lock.Acquire();
        if (s_count < Most) At(s_count++) = new Range { Address = address, Bytes = bytes };
        s_lock.Release();
    }

    /// <summary>Notes that they were released, or a range that is not here.</summary>
    internal static void Remove(nuint address)
    {
        s_lock.Acquire();
        for (int i = 0; i < s_count; i++)
        {
            if (At(i).Address != address) continue;
            At(i) = At(--s_count);
            break;
        }
        s_lock.Release();
    }

    /// <summary>Takes one out; false where there is none left.</summary>
    internal static bool TryTake(out nuint address, out nuint bytes)
    {
        s_lock.Acquire();
        bool any = s_count != 0;
        Range range = any ? At(--s_count) : default;
        (address, bytes) = (range.Address, range.Bytes);
        s_lock.Release();
        return any;
    }

    // Without a span of its own type, which the JIT would have to compile before the first block.
    private static ref Range At(int index)
    {
        Debug.Assert((uint)index < Most, "there is such a range");
        return ref Unsafe.Add(ref Unsafe.As<Ranges, Range>(ref s_ranges), index);
    }

    private struct Range
    {
        public nuint Address, Bytes;
    }

    [InlineArray(Most)]
    private struct Ranges
    {
        private Range _first;
    }
}
