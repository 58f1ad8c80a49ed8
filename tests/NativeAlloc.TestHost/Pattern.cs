using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// Bytes that tell which block they belong to and where in it they stand: a lost, foreign or shifted byte is found.
/// Works at the speed of copying, so that blocks of 100 MiB can be filled and checked as a whole.
/// </summary>
internal static unsafe class Pattern
{
    private const int ChunkBytes = 4096;

    /// <summary>What <see cref="FindMismatch"/> answers when every byte is right.</summary>
    internal const nint None = -1;

    /// <summary>Fills a block with the pattern of an id.</summary>
    internal static void Fill(void* block, nuint bytes, ulong id)
    {
        Span<ulong> chunk = stackalloc ulong[ChunkBytes / sizeof(ulong)];
        Prepare(chunk, bytes, id);
        for (nuint offset = 0; offset < bytes; offset += ChunkBytes)
        {
            chunk[0] = Mix(id, ~offset);
            int count = (int)Math.Min(ChunkBytes, bytes - offset);
            MemoryMarshal.AsBytes(chunk)[..count].CopyTo(new Span<byte>((byte*)block + offset, count));
        }
    }

    /// <summary>Offset of the first byte that is not the pattern's, or <see cref="None"/>.</summary>
    internal static nint FindMismatch(void* block, nuint bytes, ulong id)
    {
        Span<ulong> chunk = stackalloc ulong[ChunkBytes / sizeof(ulong)];
        Prepare(chunk, bytes, id);
        for (nuint offset = 0; offset < bytes; offset += ChunkBytes)
        {
            chunk[0] = Mix(id, ~offset);
            int count = (int)Math.Min(ChunkBytes, bytes - offset);
            int equal = MemoryMarshal.AsBytes(chunk)[..count]
                .CommonPrefixLength(new ReadOnlySpan<byte>((byte*)block + offset, count));
            if (equal != count) return (nint)offset + equal;
        }
        return None;
    }

    /// <summary>Throws if a byte of the block is not the pattern's.</summary>
    internal static void Check(void* block, nuint bytes, ulong id)
    {
        nint mismatch = FindMismatch(block, bytes, id);
        if (mismatch == None) return;
        throw new InvalidOperationException(
            $"block {id} of {bytes} bytes at 0x{(nuint)block:x}: the byte at offset {mismatch} was changed by " +
            "somebody else or not kept");
    }

    /// <summary>Offset of the first byte that is not zero, or <see cref="None"/>.</summary>
    internal static nint FindNonZero(void* block, nuint bytes)
    {
        for (nuint offset = 0; offset < bytes; offset += ChunkBytes)
        {
            int count = (int)Math.Min(ChunkBytes, bytes - offset);
            int zero = new ReadOnlySpan<byte>((byte*)block + offset, count).IndexOfAnyExcept((byte)0);
            if (zero >= 0) return (nint)offset + zero;
        }
        return None;
    }

    /// <summary>Throws if a byte of the block is not zero.</summary>
    internal static void CheckZero(void* block, nuint bytes)
    {
        nint nonZero = FindNonZero(block, bytes);
        if (nonZero == None) return;
        throw new InvalidOperationException(
            $"the block of {bytes} zero bytes at 0x{(nuint)block:x} has 0x{((byte*)block)[nonZero]:x2} at offset " +
            $"{nonZero}");
    }

    // Only as much of the chunk as the block needs: most blocks are small.
    private static void Prepare(Span<ulong> chunk, nuint bytes, ulong id)
    {
        int words = (int)Math.Min((nuint)chunk.Length, bytes / sizeof(ulong) + 1);
        for (int i = 1; i < words; i++) chunk[i] = Mix(id, (ulong)i);
    }

    // The finaliser of SplitMix64, of the two numbers combined.
    private static ulong Mix(ulong id, ulong place)
    {
        unchecked
        {
            ulong z = (id + 1) * 0x9E3779B97F4A7C15 + place * 0xD1342543DE82EF95;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            return z ^ (z >> 31);
        }
    }
}
