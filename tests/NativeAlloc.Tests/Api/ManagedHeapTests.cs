using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that no member but the statistics allocates on the managed heap once a thread has made its first call, on
/// fast and slow paths alike.
/// </summary>
public sealed unsafe class ManagedHeapTests : LeakCheckedTests
{
    [Fact]
    public void Allocating_and_freeing_any_size_in_any_way_costs_no_managed_memory() =>
        ShouldAllocateNothing(&EveryMember);

    [Fact]
    public void Filling_and_emptying_magazines_depots_and_slabs_costs_no_managed_memory()
    {
        ShouldAllocateNothing(&ManySmallBlocks);
        // A depot keeps magazines where threads take turns, so another one goes first. Without the exchanges this would
        // prove nothing.
        ThreadMagazines* magazines = ThreadMagazines.Of(CurrentThread.t_block);
        (ulong depot, ulong slabs) = (magazines->DepotExchanges, magazines->SlabExchanges);
        TestThread.RunOnNew(() => SmallBlocks(1_000));
        long before = GC.GetAllocatedBytesForCurrentThread();
        SmallBlocks(1_000);
        SmallBlocks(50_000);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(magazines->DepotExchanges > depot, "no magazine was exchanged with a depot");
        Assert.True(magazines->SlabExchanges > slabs, "no magazine was filled from slabs");
    }

    [Fact]
    public void Giving_memory_back_and_growing_anew_costs_no_managed_memory() => ShouldAllocateNothing(&TrimAndGrow);

    [Fact]
    public void Being_out_of_memory_costs_TryAlloc_no_managed_memory() => ShouldAllocateNothing(&AskForTheImpossible);

    [Fact]
    public void The_measurement_sees_a_single_object()
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        GC.KeepAlive(new object());
        Assert.NotEqual(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void ShouldAllocateNothing(delegate*<void> action)
    {
        action(); // the thread's first call, the first call of each member, and what they load
        action();
        long before = GC.GetAllocatedBytesForCurrentThread();
        action();
        long after = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(0, after - before);
    }

    private static void EveryMember()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            NativeAllocator.Free(NativeAllocator.Alloc(bytes));
            NativeAllocator.Free(NativeAllocator.AllocZeroed(bytes));
            NativeAllocator.AlignedFree(NativeAllocator.AlignedAlloc(bytes, 4096));
            NativeAllocator.Free(NativeAllocator.Alloc(bytes / 8, 8));
            NativeAllocator.Free(NativeAllocator.AllocZeroed(bytes / 8, 8));
            NativeAllocator.Free(NativeAllocator.Alloc<long>(bytes / 8));
            NativeAllocator.Free(NativeAllocator.AllocZeroed<long>(bytes / 8));
            if (NativeAllocator.TryAlloc(bytes, out void* tried)) NativeAllocator.Free(tried);
            void* block = NativeAllocator.Realloc(null, bytes);
            block = NativeAllocator.Realloc(block, bytes * 2);
            block = NativeAllocator.Realloc(block, bytes / 5);
            block = NativeAllocator.AlignedRealloc(block, bytes, 65_536);
            if (NativeAllocator.Owns(block) && NativeAllocator.UsableSize(block) >= bytes) NativeAllocator.Free(block);
            nint global = HGlobal.AllocHGlobal((nint)bytes);
            HGlobal.FreeHGlobal(HGlobal.ReAllocHGlobal(global, (nint)bytes / 2));
        }
        HGlobal.FreeHGlobal(HGlobal.StringToHGlobalUni("text"));
        HGlobal.FreeHGlobal(HGlobal.StringToHGlobalUTF8("text"));
        HGlobal.FreeHGlobal(HGlobal.StringToHGlobalAnsi("text"));
    }

    private static void ManySmallBlocks() => SmallBlocks(50_000);

    private static void SmallBlocks(int count)
    {
        void** blocks = (void**)NativeAllocator.Alloc((nuint)count, (nuint)sizeof(void*));
        for (nuint bytes = 16; bytes <= 2048; bytes *= 2)
        {
            for (int i = 0; i < count; i++) blocks[i] = NativeAllocator.Alloc(bytes);
            for (int i = 0; i < count; i++) NativeAllocator.Free(blocks[i]);
        }
        NativeAllocator.Free(blocks);
    }

    private static void TrimAndGrow()
    {
        const int Count = 5_000;
        void** blocks = stackalloc void*[Count];
        for (int round = 0; round < 4; round++)
        {
            for (int i = 0; i < Count; i++) blocks[i] = NativeAllocator.Alloc((nuint)(i * 3));
            for (int i = 0; i < Count; i++) NativeAllocator.Free(blocks[i]);
            if (round % 2 == 0) NativeAllocator.Trim();
            else NativeAllocator.ReleaseThreadCache();
        }
    }

    private static void AskForTheImpossible()
    {
        foreach (nuint bytes in Sizes.Impossible) NativeAllocator.TryAlloc(bytes, out _);
    }
}
