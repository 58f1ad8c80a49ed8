using System.Buffers;
using System.Runtime.CompilerServices;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Shapes;

/// <summary>
/// Proves that a buffer is an array in native memory: sliced and pinned as one, refused after its end, freed with its
/// last pin, and counted where it is forgotten.
/// </summary>
public sealed unsafe class NativeBufferTests : LeakCheckedTests
{
    [Fact]
    public void It_is_a_memory_like_any_other()
    {
        using NativeBuffer<int> buffer = new(1000, zeroed: true);
        Memory<int> memory = buffer.Memory;
        Assert.Equal(1000, memory.Length);
        Assert.Equal(1000, buffer.Length);
        Assert.False(memory.Span.ContainsAnyExcept(0));
        for (int i = 0; i < 1000; i++) memory.Span[i] = i;
        Assert.Equal([500, 501, 502], memory.Slice(500, 3).ToArray());
        Assert.Equal(999, buffer.Span[999]);
        Assert.Equal(7, buffer.Pointer[7]);
        Assert.False(System.Runtime.InteropServices.MemoryMarshal.TryGetArray<int>(memory, out _));
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetMemoryManager<int, NativeBuffer<int>>(
            memory, out NativeBuffer<int>? manager));
        Assert.Same(buffer, manager);
    }

    [Fact]
    public void It_may_be_empty_and_not_less()
    {
        using (NativeBuffer<long> empty = new(0)) Assert.True(empty.Memory.IsEmpty);
        Assert.Throws<ArgumentOutOfRangeException>(() => new NativeBuffer<long>(-1));
    }

    [Fact]
    public void Zeroed_elements_are_zero_where_memory_was_dirty()
    {
        using (NativeBuffer<byte> dirty = new(5000)) dirty.Span.Fill(0xFF);
        using NativeBuffer<byte> buffer = new(5000, zeroed: true);
        Assert.False(buffer.Span.ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void After_its_end_every_way_to_the_elements_throws()
    {
        NativeBuffer<int> buffer = new(10);
        Memory<int> memory = buffer.Memory, slice = memory.Slice(5);
        buffer.Dispose();
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => buffer.GetSpan().Length);
        Assert.Throws<ObjectDisposedException>(() => buffer.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => buffer.Memory.Length);
        Assert.Throws<ObjectDisposedException>(() => (nint)buffer.Pointer);
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
        Assert.Throws<ObjectDisposedException>(() => slice.Pin());
    }

    [Fact]
    public void A_pinned_block_lives_until_its_last_pin_ends()
    {
        NativeBuffer<int> buffer = new(100);
        buffer.Span[42] = 4711;
        MemoryHandle first = buffer.Memory.Slice(42).Pin(), second = buffer.Pin(1);
        Assert.True((int*)first.Pointer == buffer.Pointer + 42);
        Assert.True((int*)second.Pointer == buffer.Pointer + 1);
        long live = NativeAllocator.GetStatistics().LiveBlocks;
        buffer.Dispose();
        Assert.Equal(4711, *(int*)first.Pointer);
        first.Dispose();
        first.Dispose(); // a handle unpins once
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBlocks);
        second.Dispose();
        Assert.Equal(live - 1, NativeAllocator.GetStatistics().LiveBlocks);
        Assert.Throws<InvalidOperationException>(buffer.Unpin);
    }

    [Fact]
    public void A_pin_points_into_the_buffer_only()
    {
        using NativeBuffer<int> buffer = new(10);
        buffer.Pin(10).Dispose();
        Assert.Throws<ArgumentOutOfRangeException>(() => buffer.Pin(11));
        Assert.Throws<ArgumentOutOfRangeException>(() => buffer.Pin(-1));
        Assert.Throws<InvalidOperationException>(buffer.Unpin);
        _ = buffer.Pin();
        buffer.Unpin();
    }

    [Fact]
    public void Threads_that_pin_while_another_disposes_keep_the_block_or_are_refused()
    {
        for (int round = 0; round < 200; round++)
        {
            NativeBuffer<long> buffer = new(64);
            buffer.Span.Fill(round);
            using Barrier start = new(3);
            int number = round;
            Thread[] threads = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
            {
                start.SignalAndWait();
                try
                {
                    using MemoryHandle pin = buffer.Pin();
                    Assert.Equal(number, ((long*)pin.Pointer)[63]);
                }
                catch (ObjectDisposedException)
                {
                }
            }))];
            foreach (Thread thread in threads) thread.Start();
            start.SignalAndWait(TestContext.Current.CancellationToken);
            buffer.Dispose();
            foreach (Thread thread in threads) thread.Join();
        }
    }

    [Fact]
    public void A_forgotten_buffer_is_counted_and_not_freed()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        int* pointer = Forget();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        Assert.True(after.ForgottenBlocks >= before.ForgottenBlocks + 1);
        Assert.True(after.ForgottenBytes >= before.ForgottenBytes + 400);
        Assert.Equal(4711, pointer[99]); // a span of it could still be in use
        NativeAllocator.Free(pointer);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int* Forget()
    {
        NativeBuffer<int> buffer = new(100);
        buffer.Span[99] = 4711;
        return buffer.Pointer;
    }
}
