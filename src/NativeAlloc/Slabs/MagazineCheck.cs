using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// What is looked at when a magazine that frees have filled goes on as a whole: each of its objects is one of the
/// cache, was handed out, and is there once. The fast path that pushed them looks at none of it.
/// </summary>
/// <remarks>
/// Nothing is locked. What lies in a magazine is in no slab, so its bit is 0 as long as nobody has freed it twice; and
/// then its slab has an object out, and stays a slab of this cache. Whatever else is read here is an error.
/// </remarks>
internal static unsafe class MagazineCheck
{
    /// <summary>Ends the process if something in the magazine cannot have been freed rightly.</summary>
    /// <param name="top">Its top; its floor is where it belongs.</param>
    /// <param name="isFull">Also looks at what the slabs say of each object, which is in other cache lines.</param>
    internal static void Check(ObjectCache* cache, nint top, bool isFull)
    {
        nint* slots = (nint*)cache->Magazine.BottomOf(top);
        int count = (int)((top - (nint)slots) / sizeof(nint));
        Seen seen = default;
        for (int i = 0; i < count; i++)
        {
            nint pointer = slots[i];
            if (isFull || !cache->MayBeginAt(pointer)) CheckObject(cache, pointer);
            ulong hash = unchecked((ulong)pointer * Multiplier) >> HashShift;
            ref ulong word = ref seen[(int)(hash >> 6)];
            ulong bit = 1UL << (int)(hash & 63);
            if ((word & bit) != 0 && new Span<nint>(slots, i).Contains(pointer))
                ThrowHelper.StopOnTwiceInMagazine((void*)pointer, cache->ObjectBytes);
            word |= bit;
        }
    }

    /// <summary>Ends the process if an object that comes back is none of the cache, or is in its slab.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void CheckObject(ObjectCache* cache, nint pointer)
    {
        uint page = (uint)LinearRegion.PageIndexOf((void*)pointer), slab = cache->SlabOf(page);
        if (LinearRegion.Frames[page].Cache != cache->Index || LinearRegion.ClassOf(page) == 0)
            cache->StopOnStaleFree(LinearRegion.Frames + slab, pointer);
        nuint offset = (nuint)pointer - LinearRegion.AddressOf(slab);
        uint index = cache->ObjectIndexOf(offset);
        bool isObject = index * (nuint)cache->ObjectBytes == offset && index < cache->ObjectsPerSlab;
        if (!isObject || cache->IsInSlab(slab, index)) cache->StopOnBadFree(pointer, isObject);
    }

    // A bit for each of so many hashes. Of 255 objects about eight find their bit set by another: for these the slots
    // before are compared.
    private const int HashBits = 12, HashShift = 64 - HashBits;

    // 2^64 divided by the golden ratio spreads addresses that are alike (Knuth).
    private const ulong Multiplier = 0x9E37_79B9_7F4A_7C15;

    [InlineArray((1 << HashBits) / 64)]
    private struct Seen
    {
        private ulong _first;
    }
}
