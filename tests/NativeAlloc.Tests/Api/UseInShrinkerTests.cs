using System.Buffers;
using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Shows what becomes of an object that a shrinker uses, or disposes of, while the object itself waits for the memory
/// that the shrinker is asked for.
/// </summary>
public sealed unsafe class UseInShrinkerTests : LeakCheckedTests
{
    private const int MiB = 1 << 20;

    /// <summary>Sizes that grow by another block, and by moving pages.</summary>
    public static TheoryData<int, int> Growths => new() { { 1_000, 8 * MiB }, { 4 * MiB, 16 * MiB } };

    [Theory]
    [MemberData(nameof(Growths))]
    public void A_stream_that_is_disposed_of_while_it_grows_is_freed_when_it_has_grown(int before, int after)
    {
        NativeStream stream = new(before);
        stream.Write(new byte[before]);
        Exception? error = ErrorWhere(stream.Dispose, () => stream.Capacity = after);
        Assert.IsType<ObjectDisposedException>(error);
        Assert.False(stream.CanRead);
        Assert.Throws<ObjectDisposedException>(() => stream.Length);
    }

    [Theory]
    [MemberData(nameof(Growths))]
    public void A_pinned_writer_that_is_disposed_of_while_it_grows_is_freed_with_its_pin(int before, int after)
    {
        NativeBufferWriter<byte> writer = new(before);
        writer.GetSpan(before)[0] = 7;
        writer.Advance(before);
        MemoryHandle pin = writer.WrittenMemory.Pin();
        Assert.IsType<ObjectDisposedException>(ErrorWhere(writer.Dispose, () => writer.GetSpan(after)));
        Assert.Equal(7, *(byte*)pin.Pointer);
        pin.Dispose();
    }

    [Theory]
    [MemberData(nameof(Growths))]
    public void A_stream_that_grows_cannot_be_used_meanwhile(int before, int after)
    {
        using NativeStream stream = new(before);
        stream.Write(new byte[before]);
        stream.Position = 0;
        Memory<byte> memory = stream.GetMemory(1);
        Action[] uses =
        [
            () => stream.SetLength(0), () => stream.Capacity = before, () => memory.Pin().Dispose(),
            () => stream.WriteByte(1), () => stream.Position = 1,
        ];
        int refused = 0;
        Assert.Null(ErrorWhere(() =>
        {
            foreach (Action use in uses)
                if (Record.Exception(use) is InvalidOperationException and not ObjectDisposedException) refused++;
        }, () => stream.Capacity = after));
        Assert.Equal((uses.Length, before), (refused, stream.Length));
        Assert.Equal(after, stream.Capacity);
        memory.Pin().Dispose();
    }

    [Fact]
    public void A_stream_that_is_disposed_of_while_it_cannot_grow_is_freed()
    {
        NativeStream stream = new(1_000);
        Exception? error = ErrorWhere(stream.Dispose, () => stream.Capacity = 8 * MiB, isFreed: false);
        Assert.IsType<OutOfMemoryException>(error);
        Assert.False(stream.CanRead);
    }

    [Fact]
    public void A_cache_that_is_disposed_of_while_it_grows_gives_no_object()
    {
        SlabCache cache = new("disposed-in-shrinker", 400_000);
        Assert.IsType<ObjectDisposedException>(ErrorWhere(cache.Dispose, () => cache.Alloc()));
    }

    /// <summary>From a slab to another, from a slab to pages, and with moving pages.</summary>
    public static TheoryData<int, int> HeapGrowths => new()
    {
        { 100_000, 400_000 }, { 400_000, 8 * MiB }, { 4 * MiB, 16 * MiB },
    };

    [Theory]
    [MemberData(nameof(HeapGrowths))]
    public void A_heap_cannot_be_emptied_while_a_block_of_it_grows(int before, int after)
    {
        NativeHeap heap = new("emptied-in-shrinker");
        byte* block = (byte*)heap.Alloc((nuint)before);
        *block = block[before - 1] = 7;
        List<Exception?> errors = [];
        Assert.Null(ErrorWhere(() =>
        {
            errors.Add(Record.Exception(heap.Reset));
            errors.Add(Record.Exception(heap.Dispose));
        }, () => block = (byte*)heap.Realloc(block, (nuint)after)));
        Assert.NotEmpty(errors);
        Assert.All(errors, error => Assert.Contains("emptied-in-shrinker", Assert.IsType<InvalidOperationException>(
            error).Message, StringComparison.Ordinal));
        Assert.Equal((7, 7), (*block, block[before - 1]));
        Assert.InRange(heap.LiveBytes, (nuint)after, (nuint)after + (nuint)(after / 4) + MiB);
        heap.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_arena_that_a_shrinker_allocates_from_while_it_grows_has_both_blocks(bool shared)
    {
        using NativeArena arena = new(0, shared);
        for (int i = 0; i < 3; i++) arena.Alloc(8 * MiB); // one more chunk, and the list of them is full
        byte* inner = null, outer = null;
        Assert.Null(ErrorWhere(() => inner = (byte*)arena.Alloc(8 * MiB), () => outer = (byte*)arena.Alloc(8 * MiB)));
        Assert.True(inner != null && outer != null && Math.Abs(outer - inner) >= 8 * MiB);
        *inner = *outer = 1;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_arena_that_is_disposed_of_while_it_grows_has_no_memory(bool shared)
    {
        nuint bytes = NativeAllocator.GetStatistics().ArenaBytes;
        NativeArena arena = new(0, shared);
        arena.Alloc(8 * MiB);
        Assert.IsType<ObjectDisposedException>(ErrorWhere(arena.Dispose, () => arena.Alloc(8 * MiB)));
        Assert.Throws<ObjectDisposedException>(() => { arena.Alloc(1); });
        Assert.Equal(bytes, NativeAllocator.GetStatistics().ArenaBytes);
    }

    // What an operation throws that finds no memory until a shrinker has done its work and freed some, or not.
    private static Exception? ErrorWhere(Action work, Action operation, bool isFreed = true)
    {
        NativeAllocator.Free(NativeAllocator.Alloc(100)); // the thread has its block
        NativeAllocator.Trim();
        void* held = Vmalloc.Alloc(128 * MiB);
        using IDisposable registration = PageAllocator.RegisterShrinker(_ =>
        {
            if (held == null) return 0;
            if (isFreed) Vmalloc.Free(held);
            NativeAllocator.Trim();
            if (isFreed) held = null;
            work();
            return 0;
        });
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes);
        try
        {
            return Record.Exception(operation);
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
            if (held != null) Vmalloc.Free(held);
        }
    }
}
