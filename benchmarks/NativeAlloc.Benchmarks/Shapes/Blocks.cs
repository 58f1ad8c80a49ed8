using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>What shapes do with blocks of any allocator.</summary>
internal static unsafe class Blocks<TAllocator>
    where TAllocator : struct, IAllocator
{
    private const nuint SystemPageBytes = 4096;

    /// <summary>A block; null where the allocator refuses, each in its own way.</summary>
    public static byte* AllocOrNull(nuint size)
    {
        try
        {
            return (byte*)TAllocator.Alloc(size);
        }
        catch (OutOfMemoryException)
        {
            return null;
        }
    }

    /// <summary>Writes a byte to every page of the system's in a block, and its last byte.</summary>
    public static void Touch(byte* block, nuint from, nuint to, byte value)
    {
        for (nuint at = from; at < to; at += SystemPageBytes)
            block[at] = value;
        block[to - 1] = value;
    }

    public static void FreeAll(Span<nint> blocks)
    {
        foreach (ref nint block in blocks)
        {
            if (block != 0)
                TAllocator.Free((void*)block);
            block = 0;
        }
    }
}
