using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.High;

/// <summary>
/// A bounded set of windows onto high pages, counted per page (the kernel's <c>kmap</c> and its <c>PKMAP</c> range). A
/// page has one window, however often it is mapped. When the count falls to 0 the window is <b>idle</b>: it stays
/// mapped, and mapping the page again costs no system call. Only when no window is free are all idle ones unmapped
/// together (<c>flush_all_zero_pkmaps</c>), those side by side by one call.
/// </summary>
/// <remarks>
/// A window is free, idle, counted, or <b>in between</b>: being mapped or unmapped by the one thread that has taken it
/// out of all of these, outside of the lock. Where all are counted or in between, and where the page's own window is in
/// between, a thread waits until a window changes.
/// <code>
/// TryMap ─ Begin (lock) ─ the page has a window: count it                 (no system call)
///                          ├ a free window: map, Finish (lock)               (one call)
///                          ├ no free window: Flush: unmap the idle ones,
///                          │                 free them (lock), begin again   (a call per run)
///                          └ none idle either: wait, begin again
/// TryUnmap (lock) ─ count it down; at 0 it is idle, and a thread that waits goes on
/// </code>
/// </remarks>
internal static unsafe class PersistentWindows
{
    /// <summary>
    /// Windows there are: 32 MiB of addresses, as many as the kernel has for pages above 4 GiB (<c>LAST_PKMAP</c>).
    /// </summary>
    internal const int WindowCount = 512;

    private const int Words = WindowCount / 64;

    private static NativeLock s_lock;

    /// <summary>Any thread: it is safe by itself.</summary>
    private static WindowRange s_range = new(WindowCount);

    /// <summary>By window: whose it is and how often it is mapped. Under the lock, as all that follows.</summary>
    private static readonly Window[] s_windows = new Window[WindowCount];

    /// <summary>A bit per window: free ones, and idle ones. A window in neither is counted or in between.</summary>
    private static readonly ulong[] s_free = MakeFree(), s_idle = new ulong[Words];

    /// <summary>
    /// By high page: one more than its window, or 0. Two bytes for 64 KiB, and those only where pages are mapped, make
    /// finding a window one load.
    /// </summary>
    private static MetadataRegion s_windowOf =
        MetadataRegion.Reserve((nuint)(LinearRegion.EndPage - LinearRegion.HighFirstPage) * sizeof(ushort));

    /// <summary>Threads that have said they wait and have not been called yet. Under the lock.</summary>
    private static int s_waiting;

    // The system's semaphore: signalling one cannot be interrupted, as taking a managed lock in order to signal can. A
    // thread that is interrupted while it waits leaves a signal too many, for which some later thread looks once in
    // vain.
    private static readonly Semaphore s_changed = new(0, int.MaxValue);

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    private enum Begun
    {
        /// <summary>The page has a window, which is counted.</summary>
        Counted,

        /// <summary>The page has got a free window, in between until <see cref="Finish"/>.</summary>
        InBetween,

        /// <summary>There is no free window; the idle ones are the caller's to unmap.</summary>
        Flush,

        /// <summary>There is none at all; the caller is called when that may have changed.</summary>
        Wait,

        /// <summary>There is no memory for the table.</summary>
        Refused,
    }

    /// <summary>
    /// Maps a high page, or counts its mapping. Waits for a window where all are in use. False where the system
    /// refuses.
    /// </summary>
    /// <exception cref="ThreadInterruptedException">The thread was interrupted while it waited; nothing has
    /// changed.</exception>
    internal static bool TryMap(uint page, out nuint address)
    {
        if (!s_range.TryReserve(out address)) return false;
        ulong* flushed = stackalloc ulong[Words];
        while (true)
        {
            switch (Begin(page, flushed, out int window))
            {
                case Begun.Counted:
                    address += AddressOffset(window);
                    return true;
                case Begun.InBetween:
                    address += AddressOffset(window);
                    return Finish(window, MappablePages.TryMap(page, 1, address));
                case Begun.Flush:
                    Unmap(address, flushed);
                    break;
                case Begun.Wait:
                    s_changed.WaitOne();
                    break;
                default:
                    return false;
            }
        }
    }

    /// <summary>Takes a mapping of a page back; false if it has none.</summary>
    internal static bool TryUnmap(uint page)
    {
        s_lock.Acquire();
        int window = IsInTable(page) ? WindowOf(page) - 1 : -1;
        bool counted = window >= 0 && s_windows[window].Count != 0;
        int waiting = 0;
        if (counted && --s_windows[window].Count == 0)
        {
            Set(s_idle, window);
            waiting = TakeWaiting();
        }
        s_lock.Release();
        Call(waiting);
        return counted;
    }

    /// <summary>Unmaps all idle windows; for tests, which count on free ones.</summary>
    internal static void Flush()
    {
        ulong* flushed = stackalloc ulong[Words];
        if (!s_range.TryReserve(out nuint address)) return;
        s_lock.Acquire();
        TakeIdle(flushed);
        s_lock.Release();
        Unmap(address, flushed);
    }

    private static Begun Begin(uint page, ulong* flushed, out int window)
    {
        s_lock.Acquire();
        Begun begun = BeginLocked(page, flushed, out window);
        s_lock.Release();
        return begun;
    }

    private static Begun BeginLocked(uint page, ulong* flushed, out int window)
    {
        window = -1;
        if (!s_windowOf.TryCommitTo((nuint)(IndexOf(page) + 1) * sizeof(ushort))) return Begun.Refused;
        ref ushort entry = ref WindowOf(page);
        if (entry != 0)
        {
            window = entry - 1;
            if (s_windows[window].Count == 0 && !TryClear(s_idle, window))
            {
                s_waiting++;
                return Begun.Wait;
            }
            s_windows[window].Count++;
            return Begun.Counted;
        }
        window = FindFirst(s_free);
        if (window >= 0)
        {
            TryClear(s_free, window);
            s_windows[window].Page = page;
            entry = (ushort)(window + 1);
            return Begun.InBetween;
        }
        if (TakeIdle(flushed)) return Begun.Flush;
        s_waiting++;
        return Begun.Wait;
    }

    private static bool Finish(int window, bool mapped)
    {
        s_lock.Acquire();
        if (mapped)
        {
            s_windows[window].Count = 1;
        }
        else
        {
            WindowOf(s_windows[window].Page) = 0;
            Set(s_free, window);
        }
        int waiting = TakeWaiting();
        s_lock.Release();
        Call(waiting);
        return mapped;
    }

    // Their pages have no window any more from here on. Under the lock.
    private static bool TakeIdle(ulong* taken)
    {
        bool any = false;
        for (int word = 0; word < Words; word++)
        {
            taken[word] = s_idle[word];
            s_idle[word] = 0;
            any |= taken[word] != 0;
            for (ulong bits = taken[word]; bits != 0; bits &= bits - 1)
                WindowOf(s_windows[word * 64 + BitOperations.TrailingZeroCount(bits)].Page) = 0;
        }
        return any;
    }

    // Where the system refuses, what was mapped stays there unused until the next page takes its place.
    private static void Unmap(nuint address, ulong* taken)
    {
        for (int window = 0; window < WindowCount; window++)
        {
            int first = window;
            while (window < WindowCount && (taken[window / 64] >> window % 64 & 1) != 0) window++;
            if (window != first)
                VirtualMemory.TryUnmapFile(address + AddressOffset(first), AddressOffset(window - first));
        }
        s_lock.Acquire();
        for (int word = 0; word < Words; word++) s_free[word] |= taken[word];
        int waiting = TakeWaiting();
        s_lock.Release();
        Call(waiting);
    }

    private static int TakeWaiting()
    {
        int waiting = s_waiting;
        s_waiting = 0;
        return waiting;
    }

    // All of them look again: most often one goes on and the others wait once more, as in the kernel.
    private static void Call(int waiting)
    {
        if (waiting != 0) s_changed.Release(waiting);
    }

    private static nuint AddressOffset(int window) => (nuint)window << PageGeometry.PageShift;

    private static uint IndexOf(uint page) => page - LinearRegion.HighFirstPage;

    private static bool IsInTable(uint page) =>
        (nuint)(IndexOf(page) + 1) * sizeof(ushort) <= s_windowOf.CommittedBytes;

    private static ref ushort WindowOf(uint page) => ref ((ushort*)s_windowOf.Address)[IndexOf(page)];

    private static int FindFirst(ulong[] bits)
    {
        for (int word = 0; word < Words; word++)
            if (bits[word] != 0) return word * 64 + BitOperations.TrailingZeroCount(bits[word]);
        return -1;
    }

    private static void Set(ulong[] bits, int window) => bits[window / 64] |= 1UL << window % 64;

    private static bool TryClear(ulong[] bits, int window)
    {
        ulong bit = 1UL << window % 64;
        bool isSet = (bits[window / 64] & bit) != 0;
        bits[window / 64] &= ~bit;
        return isSet;
    }

    private static ulong[] MakeFree()
    {
        ulong[] bits = new ulong[Words];
        bits.AsSpan().Fill(ulong.MaxValue);
        return bits;
    }

    /// <summary>Checks the windows against each other. Throws where something is wrong; takes the lock.</summary>
    internal static void Verify()
    {
        string? error = null;
        s_lock.Acquire();
        for (int window = 0; window < WindowCount; window++)
        {
            bool free = (s_free[window / 64] >> window % 64 & 1) != 0,
                idle = (s_idle[window / 64] >> window % 64 & 1) != 0, counted = s_windows[window].Count > 0;
            if ((free ? 1 : 0) + (idle ? 1 : 0) + (counted ? 1 : 0) > 1)
                error = $"window {window} is free: {free}, idle: {idle}, and counted {s_windows[window].Count} times";
            if ((idle || counted) && WindowOf(s_windows[window].Page) != window + 1)
                error = $"window {window} is not found by its page {s_windows[window].Page}";
        }
        s_lock.Release();
        if (error != null) throw new InvalidOperationException($"persistent windows: {error}");
    }

    /// <summary>Counts windows by what they are; for tests.</summary>
    internal static (int Free, int Idle) Count()
    {
        s_lock.Acquire();
        (int free, int idle) = (0, 0);
        for (int word = 0; word < Words; word++)
        {
            free += BitOperations.PopCount(s_free[word]);
            idle += BitOperations.PopCount(s_idle[word]);
        }
        s_lock.Release();
        return (free, idle);
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Window
    {
        /// <summary>How often the page is mapped.</summary>
        public long Count;

        /// <summary>The page that the window is for; of a free window an older one.</summary>
        public uint Page;
    }
}
