using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>ReleaseThreadCache</c> gives a thread's cached memory to others, at any time and any number of times.
/// </summary>
public sealed unsafe class ReleaseThreadCacheTests : LeakCheckedTests
{
    [Fact]
    public void The_threads_cached_memory_is_nobodys_afterwards()
    {
        NativeAllocator.Trim();
        nuint ofOthers = NativeAllocator.GetStatistics().CachedBytes;
        using TestThread thread = new();
        thread.Run(() =>
        {
            AllocateAndFree(30);
            Assert.True(NativeAllocator.GetStatistics().CachedBytes > ofOthers + BytesInDepots());
            NativeAllocator.ReleaseThreadCache();
            // while the thread lives
            Assert.Equal(ofOthers + BytesInDepots(), NativeAllocator.GetStatistics().CachedBytes);
        });
    }

    [Fact]
    public void The_thread_goes_on_with_a_new_cache()
    {
        for (int i = 0; i < 50; i++)
        {
            void* block = NativeAllocator.Alloc((nuint)i * 100);
            Pattern.Fill(block, (nuint)i * 100, (ulong)i);
            NativeAllocator.ReleaseThreadCache();
            NativeAllocator.ReleaseThreadCache(); // without one it does nothing
            Pattern.Check(block, (nuint)i * 100, (ulong)i);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Another_thread_gets_the_released_block()
    {
        NativeAllocator.Trim();
        using TestThread first = new(), second = new();
        first.Run(() => AllocateAndFree(10));
        first.Run(NativeAllocator.ReleaseThreadCache);
        int blocks = ThreadRegistry.Count;
        second.Run(() => AllocateAndFree(10));
        Assert.Equal(blocks, ThreadRegistry.Count);
    }

    [Fact]
    public void A_thread_that_never_allocated_has_nothing_to_release()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        TestThread.RunOnNew(NativeAllocator.ReleaseThreadCache);
        Assert.Equal(before.CachedBytes, NativeAllocator.GetStatistics().CachedBytes);
    }

    // Everybody's, and empty after a trim.
    private static nuint BytesInDepots()
    {
        nuint bytes = 0;
        for (int index = CacheTable.Next(0); index != 0; index = CacheTable.Next(index))
        {
            ObjectCache* cache = CacheTable.CacheAt(index);
            for (int node = 0; node < ObjectCache.NodeCount; node++)
                bytes += (nuint)cache->InDepot(cache->Node(node)) * cache->ObjectBytes;
        }
        return bytes;
    }

    private static void AllocateAndFree(int count)
    {
        nint[] blocks = new nint[count];
        for (int i = 0; i < count; i++) blocks[i] = (nint)NativeAllocator.Alloc((nuint)(i * 37));
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }
}
