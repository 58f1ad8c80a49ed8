using System.Runtime.InteropServices;

namespace NativeAlloc.Checking;

/// <summary>
/// What check mode writes into memory: red zones around a block, one value into fresh bytes and another into freed
/// ones. Of large blocks only the first <see cref="MostPoisonedBytes"/> are written, so that a block that is mostly
/// untouched stays so.
/// </summary>
internal static unsafe class RedZones
{
    /// <summary>Bytes of a red zone.</summary>
    internal const nuint Bytes = 32;

    internal const nuint MostPoisonedBytes = 1 << 20;

    private const byte Zone = 0xBB, Fresh = 0x5A, Freed = 0x6B;

    // Zeroed memory is cleared in granules of 16 bytes by callers who know nothing of this mode.
    private const nuint Granule = 16;

    /// <summary>Writes the red zones of a new block, and, where it need not be zero, its bytes.</summary>
    internal static void Prepare(in CheckedBlock block, bool poison)
    {
        NativeMemory.Fill((void*)(block.Address - Bytes), Bytes, Zone);
        NativeMemory.Fill((void*)(block.Address + block.Bytes), block.End - block.Address - block.Bytes, Zone);
        if (poison) NativeMemory.Fill((void*)block.Address, PoisonedBytesOf(block), Fresh);
    }

    internal static void PoisonFreed(in CheckedBlock block) =>
        NativeMemory.Fill((void*)block.Address, PoisonedBytesOf(block), Freed);

    /// <summary>The first address in front of a block that was written to; 0 for none.</summary>
    internal static nuint FindUnderflow(in CheckedBlock block) => FindOther(block.Address - Bytes, Bytes, Zone);

    /// <summary>The first address behind a block that was written to; 0 for none.</summary>
    internal static nuint FindOverflow(in CheckedBlock block)
    {
        nuint end = block.Address + block.Bytes;
        nuint wholeEnd = (block.Address + Math.Max(block.Bytes, 1) + (Granule - 1)) & ~(Granule - 1);
        bool isCleared = wholeEnd != end && FindOther(end, wholeEnd - end, 0) == 0;
        nuint found = isCleared ? 0 : FindOther(end, wholeEnd - end, Zone);
        return found != 0 ? found : FindOther(wholeEnd, block.End - wholeEnd, Zone);
    }

    /// <summary>The first address of a freed block that was written to; 0 for none.</summary>
    internal static nuint FindUseAfterFree(in CheckedBlock block) =>
        block.KeepsContents != 0 ? 0 : FindOther(block.Address, PoisonedBytesOf(block), Freed);

    private static nuint PoisonedBytesOf(in CheckedBlock block) => Math.Min(block.Bytes, MostPoisonedBytes);

    private static nuint FindOther(nuint address, nuint bytes, byte value)
    {
        int index = new ReadOnlySpan<byte>((void*)address, (int)bytes).IndexOfAnyExcept(value);
        return index < 0 ? 0 : address + (nuint)index;
    }
}
