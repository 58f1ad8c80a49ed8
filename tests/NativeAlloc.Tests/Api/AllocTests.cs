using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves the contracts of <c>Alloc</c> and <c>TryAlloc</c> in all their forms: what they return, and what they refuse.
/// </summary>
public sealed unsafe class AllocTests : LeakCheckedTests
{
    [Fact]
    public void Every_size_gives_a_block_at_a_multiple_of_16_all_of_which_can_be_written()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            void* block = NativeAllocator.Alloc(bytes);
            Assert.True(block != null);
            Assert.Equal((nuint)0, (nuint)block % 16);
            Pattern.Fill(block, bytes, 1);
            Pattern.Check(block, bytes, 1);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Blocks_that_live_together_do_not_touch_each_other()
    {
        const int Rounds = 3;
        List<nint> blocks = [];
        for (int round = 0; round < Rounds; round++)
        {
            foreach (nuint bytes in Sizes.AcrossLayers)
            {
                void* block = NativeAllocator.Alloc(bytes);
                Pattern.Fill(block, bytes, (ulong)blocks.Count);
                blocks.Add((nint)block);
            }
        }
        for (int i = 0; i < blocks.Count; i++)
            Pattern.Check((void*)blocks[i], Sizes.AcrossLayers[i % Sizes.AcrossLayers.Length], (ulong)i);
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }

    [Fact]
    public void Zero_bytes_give_pointers_of_their_own_that_can_be_freed()
    {
        const int Count = 5_000;
        HashSet<nint> pointers = [];
        for (int i = 0; i < Count; i++)
        {
            void* pointer = (i % 5) switch
            {
                0 => NativeAllocator.Alloc(0),
                1 => NativeAllocator.AllocZeroed(0),
                2 => NativeAllocator.AlignedAlloc(0, 64),
                3 => NativeAllocator.Alloc(0, 100),
                _ => NativeAllocator.Alloc<long>(0),
            };
            Assert.True(pointer != null);
            Assert.True(pointers.Add((nint)pointer), "the same pointer was given out twice");
        }
        Assert.True(NativeAllocator.TryAlloc(0, out void* tried));
        Assert.True(pointers.Add((nint)tried));
        foreach (nint pointer in pointers) NativeAllocator.Free((void*)pointer);
    }

    [Fact]
    public void Elements_get_the_product_of_their_number_and_size()
    {
        foreach ((nuint count, nuint size) in new (nuint, nuint)[] { (1, 1), (3, 5), (1000, 24), (0, 7), (7, 0),
            (65_536, 17), (1, 70 * Sizes.MiB) })
        {
            void* block = NativeAllocator.Alloc(count, size);
            Assert.True(NativeAllocator.UsableSize(block) >= count * size);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Types_get_their_size_times_their_number()
    {
        Guid* one = NativeAllocator.Alloc<Guid>();
        Assert.True(NativeAllocator.UsableSize(one) >= (nuint)sizeof(Guid));
        decimal* many = NativeAllocator.Alloc<decimal>(1000);
        Assert.True(NativeAllocator.UsableSize(many) >= 1000 * sizeof(decimal));
        for (int i = 0; i < 1000; i++) many[i] = i;
        for (int i = 0; i < 1000; i++) Assert.Equal(i, many[i]);
        NativeAllocator.Free(one);
        NativeAllocator.Free(many);
    }

    [Fact]
    public void Products_beyond_the_address_space_are_out_of_memory_and_change_nothing()
    {
        foreach ((nuint count, nuint size) in new (nuint, nuint)[] { (nuint.MaxValue, 2), (2, nuint.MaxValue),
            ((nuint)1 << 32, (nuint)1 << 32), (nuint.MaxValue / 3, 4) })
        {
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc(count, size); });
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AllocZeroed(count, size); });
        }
        // 2^61 × 8 is 0 in 64 bits: a product that wrapped would give a block.
        Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc<long>((nuint)1 << 61); });
        Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AllocZeroed<long>((nuint)1 << 61); });
        Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc<Guid>(((nuint)1 << 60) + 1); });
    }

    [Fact]
    public void Impossible_sizes_are_out_of_memory_and_the_message_names_them()
    {
        foreach (nuint bytes in Sizes.Impossible)
        {
            OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc(bytes); });
            Assert.Contains(bytes.ToString(System.Globalization.CultureInfo.InvariantCulture), error.Message,
                StringComparison.Ordinal);
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AllocZeroed(bytes); });
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AlignedAlloc(bytes, 4096); });
            Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.AlignedAlloc(bytes, (nuint)1 << 63); });
        }
    }

    [Fact]
    public void TryAlloc_says_no_to_impossible_sizes_and_gives_null()
    {
        foreach (nuint bytes in Sizes.Impossible)
        {
            void* block = &bytes;
            Assert.False(NativeAllocator.TryAlloc(bytes, out block));
            Assert.True(block == null);
        }
    }

    [Fact]
    public void TryAlloc_gives_blocks_of_every_size()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            Assert.True(NativeAllocator.TryAlloc(bytes, out void* block));
            Assert.Equal((nuint)0, (nuint)block % 16);
            Assert.True(NativeAllocator.UsableSize(block) >= bytes);
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void A_block_of_any_size_can_be_freed_on_another_thread()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            nint block = (nint)NativeAllocator.Alloc(bytes);
            Pattern.Fill((void*)block, bytes, 9);
            TestThread.RunOnNew(() =>
            {
                Pattern.Check((void*)block, bytes, 9);
                NativeAllocator.Free((void*)block);
            });
        }
    }

    [Fact]
    public void A_size_that_can_never_be_had_says_so_and_not_to_free_something()
    {
        foreach (nuint bytes in Sizes.Impossible)
        {
            OutOfMemoryException error = Assert.Throws<OutOfMemoryException>(() => { NativeAllocator.Alloc(bytes); });
            Assert.Contains($"can never get {bytes} bytes", error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("free", error.Message, StringComparison.Ordinal);
        }
    }
}
