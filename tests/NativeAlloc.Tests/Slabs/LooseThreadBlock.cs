using System.Runtime.InteropServices;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// A thread's block without the thread, and the steps that a thread makes on it, the fast ones as the allocator makes
/// them.
/// </summary>
internal sealed unsafe class LooseThreadBlock : IDisposable
{
    private byte* _block = (byte*)NativeMemory.AlignedAlloc(ThreadBlock.Bytes, 64);

    internal LooseThreadBlock()
    {
        new Span<byte>(_block, ThreadBlock.Bytes).Clear();
        ThreadMagazines.Of(_block)->Initialize();
    }

    internal ThreadMagazines* Magazines => ThreadMagazines.Of(_block);

    internal ThreadPages* Hot => ThreadPages.Of(_block);

    internal nint Alloc(int cache)
    {
        nint top = Magazines->Loaded(cache);
        if (Magazine.IsEmpty(top)) return (nint)MagazineExchange.AllocMiss(_block, cache, out _);
        top -= sizeof(nint);
        Magazines->SetLoaded(cache, top);
        return *(nint*)top;
    }

    internal void Free(int cache, nint pointer)
    {
        // the cache's index, or its return side
        int side = LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)pointer));
        if (CacheTable.IndexOfSide(side) != cache)
            throw new InvalidOperationException($"a page of cache {cache} has class {side}");
        nint top = Magazines->Loaded(side);
        if (Magazine.MayBeFull(top))
        {
            MagazineExchange.FreeMiss(_block, side, (void*)pointer);
            return;
        }
        *(nint*)top = pointer;
        Magazines->SetLoaded(side, top + sizeof(nint));
    }

    internal byte* Block => _block;

    internal void Drain() => CacheRelease.Drain(_block);

    public void Dispose()
    {
        Drain();
        NativeMemory.AlignedFree(_block);
        _block = null;
    }
}
