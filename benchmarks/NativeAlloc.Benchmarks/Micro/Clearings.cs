using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// Ways to make resident memory zero and resident again, beside the runtime's. Blocks are aligned to and made of small
/// pages.
/// </summary>
internal static unsafe class Clearings
{
    /// <summary>Plain stores of 32 bytes, four to a round.</summary>
    public static void ByStores(byte* block, nuint bytes)
    {
        for (byte* end = block + bytes; block < end; block += 128)
        {
            Vector256<byte>.Zero.Store(block);
            Vector256<byte>.Zero.Store(block + 32);
            Vector256<byte>.Zero.Store(block + 64);
            Vector256<byte>.Zero.Store(block + 96);
        }
    }

    /// <summary>Stores that go around the caches: nothing is read, and what was in the cache stays there.</summary>
    public static void ByNonTemporalStores(byte* block, nuint bytes)
    {
        for (byte* end = block + bytes; block < end; block += 128)
        {
            Vector256<byte>.Zero.StoreAlignedNonTemporal(block);
            Vector256<byte>.Zero.StoreAlignedNonTemporal(block + 32);
            Vector256<byte>.Zero.StoreAlignedNonTemporal(block + 64);
            Vector256<byte>.Zero.StoreAlignedNonTemporal(block + 96);
        }

        // Ordinary stores that follow, and other threads, may rely on order again.
        if (Sse.IsSupported)
            Sse.StoreFence();
    }

    /// <summary>Lets the kernel clear: the memory goes, and comes back with a fault per page.</summary>
    public static void ByFaults(byte* block, nuint bytes)
    {
        PrivatePages.GiveBack(block, bytes);
        for (nuint at = 0; at < bytes; at += PrivatePages.SmallPageBytes)
            Volatile.Write(ref block[at], 0);
    }

    /// <summary>The same with one system call in place of the faults.</summary>
    public static void ByPopulating(byte* block, nuint bytes)
    {
        PrivatePages.GiveBack(block, bytes);
        PrivatePages.Populate(block, bytes);
    }
}
