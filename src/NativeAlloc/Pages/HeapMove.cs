namespace NativeAlloc.Pages;

/// <summary>
/// A block that may change its size and its address. If it is a heap's, it is none while that happens, and afterwards
/// the heap has it at its new address and with its new size.
/// </summary>
internal readonly unsafe struct HeapMove
{
    private readonly HeapFigures* _heap;
    private readonly nuint _bytes;

    private HeapMove(HeapFigures* heap, nuint bytes)
    {
        _heap = heap;
        _bytes = bytes;
    }

    /// <summary>Takes the block out of its heap, if it is of one.</summary>
    internal static HeapMove Begin(void* block)
    {
        HeapBlocks.TryRemove(block, null, out nuint bytes, out HeapFigures* heap);
        return new HeapMove(heap, bytes);
    }

    /// <summary>Gives the block back to its heap.</summary>
    /// <param name="before">The block as it was.</param>
    /// <param name="after">The block as it is; null where it could not be changed.</param>
    /// <param name="bytes">The size asked for.</param>
    internal void End(void* before, void* after, nuint bytes)
    {
        if (_heap == null) return;
        nuint charge = after != null ? HeapBlocks.ChargeOf(bytes) : _bytes;
        Interlocked.Add(ref _heap->LiveBytes, (long)charge);
        // Without memory for the entry the block is no heap's any more.
        if (!HeapBlocks.TryAdd(after != null ? after : before, charge, _heap))
            Interlocked.Add(ref _heap->LiveBytes, -(long)charge);
    }
}
