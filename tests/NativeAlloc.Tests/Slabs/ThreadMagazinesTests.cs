using System.Runtime.InteropServices;
using NativeAlloc.Os;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Os;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a new thread has no magazines, that a cache's two are its own, and how a thread's appetite grows.
/// </summary>
public sealed unsafe class ThreadMagazinesTests : IDisposable
{
    private readonly byte* _block = (byte*)NativeMemory.AllocZeroed(ThreadBlock.Bytes);
    private readonly ThreadMagazines* _magazines;

    public ThreadMagazinesTests()
    {
        _magazines = ThreadMagazines.Of(_block);
        _magazines->Initialize();
    }

    public void Dispose() => NativeMemory.Free(_block);

    [Fact]
    public void A_new_thread_has_no_magazine_of_any_cache_and_none_of_what_is_no_slab()
    {
        for (int cache = 0; cache < CacheTable.Sides; cache++)
        {
            Assert.Equal(CacheTable.NoMagazine, _magazines->Loaded(cache));
            Assert.Equal(CacheTable.NoMagazine, _magazines->Previous(cache));
        }
    }

    [Fact]
    public void A_thread_without_previous_magazines_does_not_touch_the_memory_for_them()
    {
        nuint page = VirtualMemory.PageBytes;
        Assert.True(VirtualMemory.TryReserve(ThreadBlock.Bytes, page, out nuint block));
        Assert.True(VirtualMemory.TryCommit(block, ThreadBlock.Bytes));
        ThreadMagazines* magazines = ThreadMagazines.Of((void*)block);
        magazines->Initialize();
        // Where system pages are larger, both parts are in one.
        uint expected = page <= ThreadBlock.PreviousOffset ? 0u : 1u;
        nuint rest = ThreadBlock.PreviousOffset / page * page;
        for (int cache = 0; cache < CacheTable.Sides; cache++)
        {
            magazines->SetPrevious(cache, magazines->TakePrevious(cache));
            Assert.Equal(CacheTable.NoMagazine, magazines->Previous(cache));
        }
        if (ResidentMemory.ComesInSystemPages)
            Assert.Equal(expected, ResidentMemory.PagesAt(block + rest, ThreadBlock.Bytes - rest));
        magazines->SetPrevious(1, 0x1000);
        Assert.Equal(0x1000, magazines->TakePrevious(1));
        Assert.Equal(CacheTable.NoMagazine, magazines->Previous(1));
        VirtualMemory.Release(block, ThreadBlock.Bytes);
    }

    [Fact]
    public void Setting_a_magazine_changes_no_other()
    {
        _magazines->SetLoaded(7, 0x7000);
        _magazines->SetPrevious(9, 0x9000);
        for (int cache = 0; cache < CacheTable.Sides; cache++)
        {
            Assert.Equal(cache == 7 ? 0x7000 : CacheTable.NoMagazine, _magazines->Loaded(cache));
            Assert.Equal(cache == 9 ? 0x9000 : CacheTable.NoMagazine, _magazines->Previous(cache));
        }
    }

    [Fact]
    public void Refills_double_up_to_the_capacity()
    {
        Assert.Equal([8, 16, 32, 64, 128, 255, 255],
            Enumerable.Range(0, 7).Select(_ => _magazines->NextRefill(1, 16, 255)));
        Assert.Equal([8, 16, 31, 31], Enumerable.Range(0, 4).Select(_ => _magazines->NextRefill(2, 128, 31)));
        Assert.Equal([2, 2, 2], Enumerable.Range(0, 3).Select(_ => _magazines->NextRefill(3, 64, 2)));
        Assert.Equal(8, _magazines->NextRefill(4, 80, 255)); // each cache for itself
        // Of large objects a thread begins with what a system page has room for beside those of others.
        Assert.Equal([1, 2, 4, 8, 16, 16], Enumerable.Range(0, 6).Select(_ => _magazines->NextRefill(5, 1024, 16)));
        Assert.Equal([2, 4], Enumerable.Range(0, 2).Select(_ => _magazines->NextRefill(6, 512, 32)));
        Assert.Equal(1, _magazines->NextRefill(7, 32768, 2));
    }
}
