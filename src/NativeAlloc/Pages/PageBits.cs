using System.Numerics;

namespace NativeAlloc.Pages;

/// <summary>A bit for each page, and what can be asked of a range of them.</summary>
/// <param name="address">Where the words are: 64 pages to each.</param>
internal readonly unsafe struct PageBits(nuint address)
{
    /// <summary>Whether the bit of any page is set.</summary>
    internal bool Any(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end; index = NextWord(index))
            if ((Word(index) & RangeMask(index, end)) != 0) return true;
        return false;
    }

    /// <summary>How many bits are set.</summary>
    internal uint Count(uint page, uint count)
    {
        uint bits = 0;
        for (uint index = page, end = page + count; index < end; index = NextWord(index))
            bits += (uint)BitOperations.PopCount(Word(index) & RangeMask(index, end));
        return bits;
    }

    /// <summary>Whether the bit of a page is set. The word may change meanwhile for other pages.</summary>
    internal bool IsSet(uint page) => (Volatile.Read(ref Word(page)) >> (int)(page & 63) & 1) != 0;

    internal void Set(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end; index = NextWord(index))
            Word(index) |= RangeMask(index, end);
    }

    internal void Clear(uint page, uint count)
    {
        for (uint index = page, end = page + count; index < end; index = NextWord(index))
            Word(index) &= ~RangeMask(index, end);
    }

    /// <summary>Copies the bits to whole words; bit i of them is page <c>(page &amp; ~63) + i</c>.</summary>
    internal void Copy(uint page, uint count, ulong* words)
    {
        for (uint index = page, end = page + count; index < end; index = NextWord(index))
            *words++ = Word(index) & RangeMask(index, end);
    }

    private static uint NextWord(uint index) => (index | 63) + 1;

    // The bits of the word that index lies in, from index on and before end.
    private static ulong RangeMask(uint index, uint end)
    {
        uint wordEnd = Math.Min(end, NextWord(index));
        return ulong.MaxValue >> (int)(64 - (wordEnd - index)) << (int)(index & 63);
    }

    private ref ulong Word(uint page) => ref ((ulong*)address)[page >> 6];
}
