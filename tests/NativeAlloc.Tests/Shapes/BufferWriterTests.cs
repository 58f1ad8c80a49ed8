using System.Buffers;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Shapes;

/// <summary>
/// Proves that the writer does what <see cref="ArrayBufferWriter{T}"/> does, by the same steps on both, and what that
/// cannot: more than an array holds, and pins that hold still while it grows.
/// </summary>
public sealed unsafe class BufferWriterTests : LeakCheckedTests
{
    private enum Step
    {
        WriteSpan, WriteMemory, AdvanceLess, Clear, Reset, BadAdvance, BadHint,
    }

    [Fact]
    public void Any_steps_have_the_same_outcome_on_both() =>
        Properties.ForAllSequences(
            Values.Pairs(Values.OneOf(Enum.GetValues<Step>()), Values.Between(0, 3000)), 60, steps =>
        {
            ArrayBufferWriter<int> theirs = new();
            using NativeBufferWriter<int> ours = new();
            foreach ((Step step, int size) in steps)
            {
                Exception? expected = Record.Exception(() => Run(theirs, step, size, theirs.Clear,
                    theirs.ResetWrittenCount));
                Exception? actual = Record.Exception(() => Run(ours, step, size, ours.Clear, ours.ResetWrittenCount));
                Assert.Equal(expected?.GetType(), actual?.GetType());
                Assert.Equal(theirs.WrittenCount, ours.WrittenCount);
                Assert.True(theirs.WrittenSpan.SequenceEqual(ours.WrittenSpan));
                Assert.True(theirs.WrittenSpan.SequenceEqual(ours.WrittenMemory.Span));
                Assert.True(theirs.WrittenSpan.SequenceEqual(ours.WrittenSequence.ToArray()));
                Assert.Equal(ours.Capacity, ours.WrittenCount + ours.FreeCapacity);
            }
        }, runs: 50);

    private static void Run(IBufferWriter<int> writer, Step step, int size, Action clear, Action reset)
    {
        switch (step)
        {
            case Step.WriteSpan:
                Span<int> span = writer.GetSpan(size);
                Assert.True(span.Length >= Math.Max(size, 1));
                for (int i = 0; i < size; i++) span[i] = size + i;
                writer.Advance(size);
                break;
            case Step.WriteMemory:
                Memory<int> memory = writer.GetMemory(size);
                Assert.True(memory.Length >= Math.Max(size, 1));
                for (int i = 0; i < size; i++) memory.Span[i] = size - i;
                writer.Advance(size);
                break;
            case Step.AdvanceLess:
                writer.GetSpan(size + 10)[..size].Fill(size);
                writer.Advance(size);
                break;
            case Step.Clear:
                clear();
                break;
            case Step.Reset:
                reset();
                break;
            case Step.BadAdvance:
                writer.Advance(size % 2 == 0 ? -1 : int.MaxValue);
                break;
            default:
                writer.GetSpan(-1);
                break;
        }
    }

    [Fact]
    public void A_first_capacity_is_positive_and_there_at_once()
    {
        using NativeBufferWriter<long> writer = new(1000);
        Assert.Equal(1000, writer.Capacity);
        Assert.Equal(1000, writer.FreeCapacity);
        foreach (int bad in new[] { 0, -1, int.MinValue })
        {
            Assert.Throws<ArgumentException>(() => new ArrayBufferWriter<long>(bad));
            Assert.Throws<ArgumentException>(() => new NativeBufferWriter<long>(bad));
        }
    }

    [Fact]
    public void Memory_shows_the_same_elements_when_the_writer_has_grown()
    {
        using NativeBufferWriter<int> writer = new(16);
        Memory<int> early = writer.GetMemory(16)[..16];
        for (int i = 0; i < 16; i++) early.Span[i] = i;
        writer.Advance(16);
        writer.Write(new int[1_000_000]);
        Assert.Equal(15, early.Span[15]);
        early.Span[3] = 99;
        Assert.Equal(99, writer.WrittenSpan[3]);
    }

    [Fact]
    public void Pinned_elements_stay_while_the_writer_grows_and_ends()
    {
        NativeBufferWriter<int> writer = new(16);
        writer.Write([1, 2, 3]);
        MemoryHandle pin = writer.WrittenMemory.Slice(1).Pin();
        int* pinned = (int*)pin.Pointer;
        writer.Write(new int[100_000]);
        Assert.Equal(2, *pinned);
        *pinned = 77;
        Assert.Equal(2, writer.WrittenSpan[1]); // a copy by now
        MemoryHandle second = writer.WrittenMemory.Pin();
        writer.Dispose();
        Assert.Equal(3, ((int*)second.Pointer)[2]);
        second.Dispose();
        Assert.Equal(77, *pinned);
        pin.Dispose();
    }

    [Fact]
    public void A_writer_whose_pins_have_ended_moves_again()
    {
        using NativeBufferWriter<byte> writer = new(16);
        for (int i = 0; i < 20; i++)
        {
            writer.Write(new byte[1 << i]);
            writer.WrittenMemory.Pin().Dispose();
        }
        Assert.Equal((1 << 20) - 1, writer.WrittenCount);
    }

    [Fact]
    public void After_its_end_everything_throws()
    {
        NativeBufferWriter<int> writer = new();
        writer.Write([1, 2, 3]);
        ReadOnlyMemory<int> memory = writer.WrittenMemory;
        writer.Dispose();
        writer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => writer.GetSpan().Length);
        Assert.Throws<ObjectDisposedException>(() => writer.GetMemory().Length);
        Assert.Throws<ObjectDisposedException>(() => writer.WrittenSpan.Length);
        Assert.Throws<ObjectDisposedException>(() => writer.WrittenMemory.Length);
        Assert.Throws<ObjectDisposedException>(() => writer.Advance(0));
        Assert.Throws<ObjectDisposedException>(writer.Clear);
        Assert.Throws<ObjectDisposedException>(() => memory.Span.Length);
    }

    [Fact]
    public void Beyond_what_one_span_holds_it_is_a_sequence()
    {
        using NativeBufferWriter<byte> writer = new();
        const int Piece = 1 << 29;
        for (int i = 0; i < 5; i++)
        {
            Span<byte> span = writer.GetSpan(Piece);
            (span[0], span[Piece - 1]) = ((byte)(i + 1), (byte)(i + 101)); // what is not touched costs no memory
            writer.Advance(Piece);
        }
        Assert.Equal(5L * Piece, writer.WrittenLength);
        Assert.Throws<InvalidOperationException>(() => writer.WrittenCount);
        Assert.Throws<InvalidOperationException>(() => writer.WrittenSpan.Length);
        ReadOnlySequence<byte> all = writer.WrittenSequence;
        Assert.Equal(5L * Piece, all.Length);
        Assert.Equal(3, all.ToMemories().Count);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(i + 1, all.Slice((long)i * Piece, 1).FirstSpan[0]);
            Assert.Equal(i + 101, all.Slice((i + 1L) * Piece - 1, 1).FirstSpan[0]);
        }
        Memory<byte> more = writer.GetMemory(int.MaxValue); // from the middle of a piece on, and longer than one
        Assert.Equal(int.MaxValue, more.Length);
    }

    [Fact]
    public void What_no_system_has_is_out_of_memory_and_the_writer_goes_on()
    {
        using NativeBufferWriter<Huge> writer = new();
        writer.Write([default, default]);
        Assert.Throws<OutOfMemoryException>(() => writer.GetSpan(int.MaxValue).Length);
        Assert.Equal(2, writer.WrittenCount);
        writer.Write([default]);
        Assert.Equal(3, writer.WrittenSpan.Length);
    }

    private struct Huge
    {
        internal fixed byte Bytes[1 << 16];
    }
}

/// <summary>For the count of a sequence's pieces.</summary>
file static class SequenceExtensions
{
    internal static List<ReadOnlyMemory<byte>> ToMemories(this ReadOnlySequence<byte> sequence)
    {
        List<ReadOnlyMemory<byte>> pieces = [];
        foreach (ReadOnlyMemory<byte> piece in sequence) pieces.Add(piece);
        return pieces;
    }
}
