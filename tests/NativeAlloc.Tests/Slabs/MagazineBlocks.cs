using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Blocks for magazines that are a test's own: in the linear region, as a depot knows a block by its place there.
/// </summary>
internal sealed unsafe class MagazineBlocks : IDisposable
{
    private readonly nint _memory;
    private readonly int _blockBytes;

    internal MagazineBlocks(int count, int blockBytes = Magazine.LargestBlockBytes)
    {
        Count = count;
        _blockBytes = blockBytes;
        _memory = (nint)NativeAllocator.AlignedAlloc((nuint)(count * blockBytes), Magazine.LargestBlockBytes);
        if (LinearRegion.PageIndexOf((void*)_memory) >= LinearRegion.OnlinePages)
            throw new InvalidOperationException("the blocks lie in the linear region");
        new Span<byte>((void*)_memory, count * blockBytes).Clear();
    }

    internal int Count { get; }

    internal nint this[int index] => _memory + index * _blockBytes;

    internal IEnumerable<nint> All => Enumerable.Range(0, Count).Select(index => this[index]);

    public void Dispose() => NativeAllocator.Free((void*)_memory);
}
