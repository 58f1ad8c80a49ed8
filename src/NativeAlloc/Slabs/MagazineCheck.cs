using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using NativeAlloc.Common;
using NativeAlloc.Pages;

namespace NativeAlloc.Slabs;

/// <summary>
/// What is looked at when a magazine that frees have filled goes to other threads, and now and then when it is full:
/// each of its objects is one of the cache, was handed out, and is there once. The fast path that pushed them looks at
/// none of it. What goes back to slabs is checked there, object by object (<see cref="SlabReturn"/>).
/// </summary>
/// <remarks>
/// Nothing is locked. What lies in a magazine is in no slab, so its bit is 0 as long as nobody has freed it twice; and
/// then its slab has an object out, and stays a slab of this cache. Whatever else is read here is an error.
/// </remarks>
internal static unsafe class MagazineCheck
{
    /// <summary>
    /// Ends the process if no object can begin at an address in the magazine, or if one is there twice. Only the slots
    /// are read: the page's class was that of the magazine when the fast path pushed the address.
    /// </summary>
    /// <param name="top">Its top; its floor is where it belongs.</param>
    [SkipLocalsInit]
    internal static void CheckSlots(ObjectCache* cache, nint top)
    {
        nint* slots = (nint*)cache->Magazine.BottomOf(top);
        int count = (int)((top - (nint)slots) / sizeof(nint));
        Unsafe.SkipInit(out Scratch scratch); // what is read of it was written before
        if (!TryHash(cache, slots, count, scratch.Hashes)) CheckObjects(cache, top);
        for (int i = 0; i < count; i++) scratch.Last[scratch.Hashes[i]] = (byte)i;
        for (int i = 0; i < count; i++)
        {
            int other = scratch.Last[scratch.Hashes[i]];
            if (other != i && slots[other] == slots[i])
                ThrowHelper.StopOnTwiceInMagazine((void*)slots[i], cache->ObjectBytes);
        }
    }

    // Writes a hash of each address; false if no object begins at one of them, which tests ask, too. An offset is a
    // multiple of the object's size exactly if it is a small number after the odd part of the size was divided out,
    // which is a multiplication modulo 2^32, and the even part rotated out (Granlund and Montgomery). The small number
    // is the object's index.
    internal static bool TryHash(ObjectCache* cache, nint* slots, int count, uint* hashes)
    {
        uint bytes = (uint)cache->ObjectBytes, origin = unchecked((uint)LinearRegion.Base), mask = cache->OffsetMask;
        int even = BitOperations.TrailingZeroCount(bytes);
        uint inverse = InverseOf(bytes >> even), objects = cache->ObjectsPerSlab;
        Vector128<uint> largest = default;
        int i = 0;
        for (; i + Vector128<uint>.Count <= count; i += Vector128<uint>.Count)
        {
            Vector128<uint> offset = Vector128.Narrow(
                Vector128.Load((ulong*)slots + i), Vector128.Load((ulong*)slots + i + 2)) - Vector128.Create(origin);
            (offset * Multiplier >>> HashShift).Store(hashes + i);
            Vector128<uint> index = (offset & Vector128.Create(mask)) * inverse;
            largest = Vector128.Max(largest, index >>> even | index << (32 - even));
        }
        bool isOnGrid = Vector128.LessThanAll(largest, Vector128.Create(objects));
        for (; i < count; i++)
        {
            uint offset = unchecked((uint)slots[i] - origin);
            hashes[i] = unchecked(offset * Multiplier) >> HashShift;
            isOnGrid &= BitOperations.RotateRight(unchecked((offset & mask) * inverse), even) < objects;
        }
        return isOnGrid;
    }

    // Of an odd number, modulo 2^32: each step doubles the bits that are right (Newton).
    private static uint InverseOf(uint odd)
    {
        uint inverse = odd; // three bits are right
        for (int bits = 3; bits < 32; bits *= 2) inverse = unchecked(inverse * (2 - odd * inverse));
        return inverse;
    }

    /// <summary>The same, and what the slabs say of each object, which is in other cache lines.</summary>
    internal static void CheckFully(ObjectCache* cache, nint top)
    {
        CheckObjects(cache, top);
        CheckSlots(cache, top);
    }

    private static void CheckObjects(ObjectCache* cache, nint top)
    {
        for (nint slot = cache->Magazine.BottomOf(top); slot < top; slot += sizeof(nint))
            CheckObject(cache, *(nint*)slot);
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

    // 2^32 divided by the golden ratio spreads addresses that are alike (Knuth). Of 255 objects about eight share their
    // hash with one that comes later.
    private const uint Multiplier = 0x9E37_79B1;
    private const int HashBits = 12, HashShift = 32 - HashBits;

    private struct Scratch
    {
        /// <summary>By slot.</summary>
        public fixed uint Hashes[Magazine.MostObjects + 1];

        /// <summary>By hash: the last slot that has it.</summary>
        public fixed byte Last[1 << HashBits];
    }
}
