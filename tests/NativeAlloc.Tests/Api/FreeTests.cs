using System.Runtime.InteropServices;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>Free</c> takes every pointer that was given out and, where it can be seen at the call, no other.
/// </summary>
public sealed unsafe class FreeTests : LeakCheckedTests
{
    [Fact]
    public void Null_is_nothing_to_free()
    {
        NativeAllocator.Free(null);
        NativeAllocator.AlignedFree(null);
        TestThread.RunOnNew(() => NativeAllocator.Free(null)); // also on a thread that has no cache yet
    }

    [Fact]
    public void Free_and_AlignedFree_take_each_others_blocks()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            NativeAllocator.AlignedFree(NativeAllocator.Alloc(bytes));
            NativeAllocator.Free(NativeAllocator.AlignedAlloc(bytes, 256));
        }
    }

    [Fact]
    public void The_stack_the_managed_heap_and_other_allocators_memory_is_refused()
    {
        long* local = stackalloc long[4];
        ShouldRefuse(local);
        ShouldRefuse((byte*)local + 1);
        byte[] managed = GC.AllocateArray<byte>(100_000, pinned: true);
        fixed (byte* pointer = managed) ShouldRefuse(pointer);
        foreach (nuint bytes in new nuint[] { 8, 5000, 10 * Sizes.MiB, 100 * Sizes.MiB })
        {
            void* foreign = NativeMemory.AlignedAlloc(bytes, 65_536);
            ShouldRefuse(foreign);
            NativeMemory.AlignedFree(foreign);
        }
        ShouldRefuse((void*)8);
        ShouldRefuse((void*)nuint.MaxValue);
        ShouldRefuse((void*)0x8000_0000_0000_0000);
    }

    [Fact]
    public void A_pointer_into_the_middle_of_a_large_or_huge_block_is_refused_and_the_block_stands()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            if (bytes <= Sizes.LargestSlab) continue;
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            Pattern.Fill(block, bytes, 2);
            foreach (nuint offset in new nuint[] { 1, 16, 4096, 65_536, bytes / 2, bytes - 1 })
            {
                ShouldRefuse(block + offset, inside: block);
                ArgumentException error =
                    Assert.Throws<ArgumentException>(() => { NativeAllocator.UsableSize(block + offset); });
                Assert.Contains($"0x{(nuint)(block + offset):x}", error.Message, StringComparison.Ordinal);
            }
            Pattern.Check(block, bytes, 2);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void A_pointer_into_the_middle_of_a_block_that_grew_in_place_is_refused_with_the_block_it_is_in()
    {
        using GrownBlock grown = new();
        for (nuint offset = 64 * Sizes.KiB; offset < grown.Bytes; offset += 64 * Sizes.KiB)
            ShouldRefuse(grown.Address + offset, inside: grown.Address);
    }

    [Fact]
    public void A_large_or_huge_block_that_is_freed_twice_is_refused_the_second_time()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            if (bytes <= Sizes.LargestSlab) continue;
            void* block = NativeAllocator.Alloc(bytes);
            NativeAllocator.Free(block);
            ShouldRefuse(block);
            ShouldRefuse(block);
            Assert.Throws<ArgumentException>(() => { NativeAllocator.UsableSize(block); });
            Assert.Throws<ArgumentException>(() => { NativeAllocator.Realloc(block, 100); });
        }
    }

    [Theory]
    [InlineData(5_000, 512 * 1024 + 1)]
    [InlineData(1_000, 64 * 1024 * 1024 + 1)]
    public void Of_two_threads_that_free_the_same_block_one_is_refused(int rounds, int bytes)
    {
        using TestThread other = new();
        using Signal begun = new(), ended = new();
        nint block = 0;
        int refused = 0;
        bool goesOn = true;
        other.Begin(() =>
        {
            while (true)
            {
                begun.Wait();
                if (!goesOn) return;
                FreeIt();
                ended.Set();
            }
        });
        for (int round = 1; round <= rounds; round++)
        {
            block = (nint)NativeAllocator.Alloc((nuint)bytes);
            begun.Set();
            FreeIt();
            ended.Wait();
            if (refused != round) break; // freed twice: from here on anything may happen
        }
        goesOn = false;
        begun.Set();
        other.Finish();
        Assert.Equal(rounds, refused);

        void FreeIt()
        {
            try
            {
                NativeAllocator.Free((void*)block);
            }
            catch (ArgumentException)
            {
                Interlocked.Increment(ref refused);
            }
        }
    }

    [Fact]
    public void An_address_of_the_allocators_own_that_no_block_ever_began_at_is_refused()
    {
        byte* block = (byte*)NativeAllocator.Alloc(10 * Sizes.MiB);
        NativeAllocator.Free(block);
        for (nuint offset = 0; offset < 10 * Sizes.MiB; offset += 256 * Sizes.KiB)
            if (!NativeAllocator.Owns(block + offset)) ShouldRefuse(block + offset);
        // reserved, and not in use yet
        ShouldRefuse((void*)(NativeAlloc.Pages.LinearRegion.Base + NativeAlloc.Pages.LinearRegion.Bytes - 65_536));
    }

    private static void ShouldRefuse(void* pointer, void* inside = null)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => { NativeAllocator.Free(pointer); });
        Assert.Contains($"0x{(nuint)pointer:x} ", error.Message, StringComparison.Ordinal);
        if (inside != null) Assert.Contains($"at 0x{(nuint)inside:x}.", error.Message, StringComparison.Ordinal);
    }
}
