using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the Try members give what their namesakes give, and that they answer false, and throw nothing, where
/// those throw.
/// </summary>
public sealed unsafe class TryTests : LeakCheckedTests
{
    [Fact]
    public void Blocks_of_every_size_are_whole_and_aligned_and_zeroed_where_that_is_asked_for()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            Assert.True(NativeAllocator.TryAlloc(bytes, out void* plain));
            Assert.Equal((nuint)0, (nuint)plain % 16);
            Pattern.Fill(plain, bytes, 1);
            NativeAllocator.Free(plain); // so that there is used memory to clear
            Assert.True(NativeAllocator.TryAllocZeroed(bytes, out void* zeroed));
            Assert.False(new ReadOnlySpan<byte>(zeroed, checked((int)bytes)).ContainsAnyExcept((byte)0));
            Assert.True(NativeAllocator.UsableSize(zeroed) >= bytes);
            NativeAllocator.Free(zeroed);
            for (nuint alignment = 1; alignment <= Sizes.MiB; alignment *= 16)
            {
                Assert.True(NativeAllocator.TryAlignedAlloc(bytes, alignment, out void* aligned));
                Assert.Equal((nuint)0, (nuint)aligned % alignment);
                Pattern.Fill(aligned, bytes, 2);
                Pattern.Check(aligned, bytes, 2);
                NativeAllocator.Free(aligned);
            }
        }
    }

    [Fact]
    public void A_block_changes_its_size_and_keeps_what_it_held()
    {
        nuint[] sizes = [.. Sizes.AcrossLayers.Select(bytes => Math.Max(bytes, 1))];
        for (int from = 0; from < sizes.Length; from += 2)
        {
            for (int to = 0; to < sizes.Length; to += 3)
            {
                void* block = null;
                Assert.True(NativeAllocator.TryRealloc(ref block, sizes[from])); // null: a new one
                Pattern.Fill(block, sizes[from], 3);
                Assert.True(NativeAllocator.TryRealloc(ref block, sizes[to]));
                Pattern.Check(block, Math.Min(sizes[from], sizes[to]), 3);
                Assert.True(NativeAllocator.UsableSize(block) >= sizes[to]);
                NativeAllocator.Free(block);
            }
        }
        void* none = null;
        Assert.True(NativeAllocator.TryRealloc(ref none, 0));
        Assert.True(NativeAllocator.TryRealloc(ref none, 0));
        NativeAllocator.Free(none);
    }

    [Fact]
    public void A_large_block_that_becomes_smaller_gives_back_what_Realloc_gives_back()
    {
        nuint from = 100 * Sizes.MiB, to = 60 * Sizes.MiB, live = NativeAllocator.GetStatistics().LiveBytes;
        void* plain = NativeAllocator.Realloc(NativeAllocator.Alloc(from), to);
        nuint usable = NativeAllocator.UsableSize(plain), held = NativeAllocator.GetStatistics().LiveBytes - live;
        NativeAllocator.Free(plain);
        void* block = NativeAllocator.Alloc(from);
        NativeAllocator.Fill(block, from, 1);
        Assert.True(NativeAllocator.TryRealloc(ref block, to));
        Assert.Equal((usable, held),
            (NativeAllocator.UsableSize(block), NativeAllocator.GetStatistics().LiveBytes - live));
        Assert.InRange(usable, to, to + to / 8);
        NativeAllocator.Free(block);
    }

    [Fact]
    public void What_no_system_has_is_false_without_any_exception()
    {
        void* old = NativeAllocator.Alloc(100);
        Pattern.Fill(old, 100, 4);
        int thrown = 0, thread = Environment.CurrentManagedThreadId;
        void Count(object? sender, System.Runtime.ExceptionServices.FirstChanceExceptionEventArgs e)
        {
            if (Environment.CurrentManagedThreadId == thread) thrown++;
        }
        AppDomain.CurrentDomain.FirstChanceException += Count;
        bool any = false, isLeft = true;
        foreach (nuint bytes in Sizes.Impossible)
        {
            void* block = old;
            any |= NativeAllocator.TryRealloc(ref block, bytes);
            isLeft &= block == old;
            any |= NativeAllocator.TryAlloc(bytes, out block);
            isLeft &= block == null;
            any |= NativeAllocator.TryAllocZeroed(bytes, out block);
            isLeft &= block == null;
            any |= NativeAllocator.TryAlignedAlloc(bytes, 4096, out block);
            isLeft &= block == null;
        }
        AppDomain.CurrentDomain.FirstChanceException -= Count;
        Assert.False(any);
        Assert.True(isLeft);
        Assert.Equal(0, thrown);
        Pattern.Check(old, 100, 4);
        NativeAllocator.Free(old);
    }

    [Fact]
    public void Wrong_arguments_are_told()
    {
        foreach (nuint alignment in (nuint[])[0, 3, 24, nuint.MaxValue])
            Assert.Throws<ArgumentException>(() => NativeAllocator.TryAlignedAlloc(1, alignment, out _));
        void* block = NativeAllocator.Alloc(100_000);
        Assert.Throws<ArgumentException>(() =>
        {
            void* inside = (byte*)block + 4096;
            NativeAllocator.TryRealloc(ref inside, 10);
        });
        NativeAllocator.Free(block);
    }

    [Fact]
    public void A_wrong_option_is_told_by_every_way_to_memory_and_false_where_nothing_is_thrown()
    {
        string[] lines = ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "soon")], WrongOption.Name)
            .ShouldSucceed().Output.ReplaceLineEndings("\n").Trim().Split('\n');
        foreach (string line in lines)
            Assert.Equal(line.StartsWith("Try", StringComparison.Ordinal) ? "nothing" : "told", line.Split(": ")[1]);
        Assert.Equal(8, lines.Length);
    }

    [Fact]
    public void Memory_is_cleared_copied_and_filled_as_NativeMemory_does()
    {
        byte* block = (byte*)NativeAllocator.Alloc(1000);
        NativeAllocator.Fill(block, 1000, 0xAB);
        NativeAllocator.Clear(block + 10, 20);
        for (int i = 0; i < 1000; i++) Assert.Equal(i is >= 10 and < 30 ? 0 : 0xAB, block[i]);
        Pattern.Fill(block, 500, 5);
        NativeAllocator.Copy(block, block + 100, 500); // they overlap
        Pattern.Check(block + 100, 500, 5);
        NativeAllocator.Clear(null, 0);
        NativeAllocator.Copy(null, null, 0);
        NativeAllocator.Fill(null, 0, 1);
        NativeAllocator.Free(block);
    }
}
