namespace NativeAlloc.Pages;

/// <summary>
/// A block that may change its size and its address. If it is a heap's, it stays in the heap's list while that happens,
/// and afterwards stands there with its new address and size; unless another thread has freed it meanwhile.
/// </summary>
internal readonly unsafe struct HeapMove
{
    private readonly uint _number; // of the block in the list; 0 where it is no heap's, or somebody moves it already
    private readonly nuint _bytes;

    private HeapMove(uint number, nuint bytes)
    {
        _number = number;
        _bytes = bytes;
    }

    internal bool IsOfHeap => _number != 0;

    /// <summary>What the heap counts for the block until it has moved.</summary>
    internal nuint Bytes => _bytes;

    /// <summary>Begins to move a block, if it is a heap's.</summary>
    /// <param name="block">The block.</param>
    /// <param name="heap">The heap that is meant; null for any.</param>
    internal static HeapMove Begin(void* block, HeapFigures* heap = null) =>
        new(HeapBlocks.BeginMove(block, heap, out nuint bytes), bytes);

    /// <summary>Notes where and how large the block is now.</summary>
    /// <param name="before">The block as it was.</param>
    /// <param name="after">The block as it is; null where it could not be changed.</param>
    /// <param name="bytes">The size asked for.</param>
    internal void End(void* before, void* after, nuint bytes)
    {
        if (_number == 0) return;
        if (after != null) HeapBlocks.EndMove(_number, before, after, HeapBlocks.ChargeOf(bytes));
        else HeapBlocks.EndMove(_number, before, before, _bytes);
    }
}
