using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>
/// Clears large memory of which much may never have been touched, by what the system says it has: what was written
/// densely is cleared, and the rest is purged, which reads as zero as well. So nothing becomes resident that nobody
/// wrote.
/// </summary>
/// <remarks>
/// What the system has paged out counts as not touched: it is purged, and need not come back to be cleared.
/// </remarks>
internal static unsafe class SparseClearing
{
    /// <summary>
    /// What is no larger is cleared throughout: that is little memory, and asking the system would be felt.
    /// </summary>
    internal const nuint LeastBytes = 4 << 20;

    // Cleared or purged as a whole: a huge page is in memory or not, and pieces of single pages could take a call each.
    private const nuint PieceBytes = VirtualMemory.HugePageBytes;

    // System pages asked for at a time: what Linux looks at in one go. A multiple of a piece.
    private const int LookPages = 4096;

    /// <summary>Makes committed memory read as zero.</summary>
    /// <param name="address">Where it begins.</param>
    /// <param name="bytes">How much, whole system pages.</param>
    /// <param name="lookedBytes">So much is looked at, which may be more than is cleared.</param>
    /// <returns>Whether all of that is in memory densely, as far as the system says.</returns>
    [SkipLocalsInit]
    internal static bool Clear(nuint address, nuint bytes, nuint lookedBytes)
    {
        byte* pages = stackalloc byte[LookPages];
        nuint pageBytes = VirtualMemory.PageBytes, lookBytes = LookPages * pageBytes, from = 0;
        bool isDense = true, wasSparse = false;
        for (nuint at = 0; at < lookedBytes; at += PieceBytes)
        {
            if (at % lookBytes == 0) Look(address + at, Math.Min(lookBytes, lookedBytes - at), pages);
            nuint pieceBytes = Math.Min(PieceBytes, lookedBytes - at);
            bool isSparse = IsSparse(pages + at % lookBytes / pageBytes, (int)(pieceBytes / pageBytes));
            isDense &= !isSparse;
            if (at >= bytes && !isDense) break; // the rest would be looked at in vain, each time
            if (at >= bytes || isSparse == wasSparse) continue;
            Clear(address + from, at - from, wasSparse);
            from = at;
            wasSparse = isSparse;
        }
        Clear(address + from, bytes - from, wasSparse);
        return isDense;
    }

    // Where the system does not say, all may have memory. Where commit is charged, what is purged could not be used.
    private static void Look(nuint address, nuint bytes, byte* pages)
    {
        if (Platform.ChargesCommit || !VirtualMemory.TryReadResident(address, bytes, pages))
            new Span<byte>(pages, LookPages).Fill(1);
    }

    // Less than half of it has memory.
    private static bool IsSparse(byte* pages, int count)
    {
        int resident = 0;
        for (int page = 0; page < count; page++) resident += pages[page] & 1;
        return 2 * resident < count;
    }

    private static void Clear(nuint address, nuint bytes, bool isSparse)
    {
        if (bytes == 0 || (isSparse && VirtualMemory.TryPurge(address, bytes))) return;
        Clearing.Clear((void*)address, bytes);
    }
}
