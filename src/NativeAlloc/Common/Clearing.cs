using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeAlloc.Common;

/// <summary>Clears used memory, by what was measured to be fastest for its size (docs/design/growth.md).</summary>
internal static unsafe class Clearing
{
    // What is larger is rarely in the cache when it comes round again, and going around it is then twice as fast, and
    // leaves in it what others have there. Smaller blocks were freed a moment ago, and what is cleared will be used
    // next.
    private const nuint NonTemporalBytes = 4 << 20;

    /// <summary>Clears whole pages.</summary>
    internal static void Clear(void* address, nuint byteCount)
    {
        if (byteCount < NonTemporalBytes || byteCount % (nuint)Vector256<byte>.Count != 0
            || (nuint)address % (nuint)Vector256<byte>.Count != 0)
        {
            NativeMemory.Clear(address, byteCount);
            return;
        }
        for (nuint at = 0; at < byteCount; at += (nuint)Vector256<byte>.Count)
            Vector256<byte>.Zero.StoreAlignedNonTemporal((byte*)address + at);
    }
}
