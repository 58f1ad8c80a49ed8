namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// A block of <see cref="ArrayPoolHeap"/>: a reference in a struct, since generic code over a plain reference type is
/// compiled once for all such types and looks up at run time what it calls.
/// </summary>
internal struct PooledArray
{
    public byte[]? Array;
}
