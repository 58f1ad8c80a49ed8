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
    /// The first address of each range, and its bytes. In use up to the count. Under the lock. Two arrays of a type
    /// that the runtime has code for: with an inline array of pairs the first block of a process waits for the JIT.
    /// </summary>
    private static readonly nuint[] s_addresses = new nuint[Most], s_bytes = new nuint[Most];

    private static int s_count;

    /// <summary>Notes addresses that were reserved.</summary>
    internal static void Add(nuint address, nuint bytes)
    {
        s_lock.Acquire();
        if (s_count < Most)
        {
            s_addresses[s_count] = address;
            s_bytes[s_count++] = bytes;
        }
        s_lock.Release();
    }

    /// <summary>Notes that they were released, or a range that is not here.</summary>
    internal static void Remove(nuint address)
    {
        s_lock.Acquire();
        for (int i = 0; i < s_count; i++)
        {
            if (s_addresses[i] != address) continue;
            s_addresses[i] = s_addresses[--s_count];
            s_bytes[i] = s_bytes[s_count];
            break;
        }
        s_lock.Release();
    }

    /// <summary>Takes one out; false where there is none left.</summary>
    internal static bool TryTake(out nuint address, out nuint bytes)
    {
        s_lock.Acquire();
        bool any = s_count != 0;
        if (any) s_count--;
        address = any ? s_addresses[s_count] : 0;
        bytes = any ? s_bytes[s_count] : 0;
        s_lock.Release();
        return any;
    }
}
