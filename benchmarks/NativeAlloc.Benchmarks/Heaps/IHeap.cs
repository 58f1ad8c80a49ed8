namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// An allocator as the heap workloads see it. They keep blocks in arrays of <typeparamref name="TBlock"/> and look into
/// them by reference, never by address, so that a block may be an address (<see cref="PointerHeap{TAllocator}"/>) or a
/// managed array (<see cref="ArrayPoolHeap"/>), which the garbage collector moves as it likes.
/// <para>
/// Implementations are empty structs, and so are blocks structs: the JIT then compiles every measured loop anew for
/// each of them, with direct calls.
/// </para>
/// </summary>
internal interface IHeap<TBlock>
    where TBlock : struct
{
    static abstract TBlock Alloc(uint bytes);

    static abstract TBlock AllocZeroed(uint bytes);

    /// <exception cref="NotSupportedException">The heap has no say in where a block lies.</exception>
    static abstract TBlock AlignedAlloc(uint bytes, uint alignment);

    /// <summary>Gives a block another size and keeps what it holds, up to the smaller of both sizes.</summary>
    static abstract TBlock Realloc(TBlock block, uint bytes);

    static abstract void Free(TBlock block);

    /// <summary>Frees a block of <see cref="AlignedAlloc"/>.</summary>
    static abstract void AlignedFree(TBlock block);

    /// <summary>The first byte of a block.</summary>
    static abstract ref byte At(TBlock block);

    /// <summary>Whether this is the default value, which stands for an empty slot.</summary>
    static abstract bool IsNone(TBlock block);

    /// <summary>Puts a block into a slot that threads share, and returns what was there; atomic.</summary>
    static abstract TBlock Exchange(ref TBlock slot, TBlock block);
}
