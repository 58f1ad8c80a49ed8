using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Shapes;

/// <summary>
/// Proves that the stream does what <see cref="MemoryStream"/> does: the same random steps have the same outcome on
/// both, results, bytes and exceptions.
/// </summary>
public sealed class StreamTests : LeakCheckedTests
{
    private enum Step
    {
        Write, WriteByte, WriteAsync, Read, ReadByte, ReadAsync, SetPosition, SeekCurrent, SeekEnd, SetLength, CopyTo,
        CopyToAsync, SetCapacity, SeekBefore, SeekNowhere, WriteTo, Canceled, WriteToItself, CopyToItself,
    }

    [Fact]
    public void Any_steps_have_the_same_outcome_on_both() =>
        Properties.ForAllSequences(
            Values.Pairs(Values.OneOf(Enum.GetValues<Step>()), Values.Between(0, 5000)), 80, steps =>
        {
            using MemoryStream theirs = new();
            using NativeStream ours = new();
            foreach ((Step step, int size) in steps)
            {
                object? expected = OutcomeOf(theirs, step, size), actual = OutcomeOf(ours, step, size);
                Assert.Equal(expected, actual);
                Assert.Equal(theirs.Position, ours.Position);
                Assert.Equal(theirs.Length, ours.Length);
                Assert.True(theirs.ToArray().AsSpan().SequenceEqual(ours.ToArray()), "the bytes differ");
                Assert.True(ours.GetReadOnlySequence().ToArray().AsSpan().SequenceEqual(ours.ToArray()));
            }
        }, runs: 60);

    // What a step returned, as text where that is bytes, or the type of what it threw.
    private static object? OutcomeOf(Stream stream, Step step, int size)
    {
        object? outcome = null;
        Exception? error = Record.Exception(() =>
        {
            if (step is Step.WriteToItself or Step.CopyToItself) WriteToItself(stream, step);
            else outcome = Run(stream, step, size).GetAwaiter().GetResult();
        });
        return error?.GetType() ?? outcome;
    }

    [SuppressMessage("Performance", "CA1835", Justification = "The forms that take arrays are under test too.")]
    private static async Task<object?> Run(Stream stream, Step step, int size)
    {
        byte[] bytes = new byte[size];
        new Random(size).NextBytes(bytes);
        switch (step)
        {
            case Step.Write:
                stream.Write(bytes, size / 3, size / 2);
                return null;
            case Step.WriteByte:
                stream.WriteByte((byte)size);
                return null;
            case Step.WriteAsync:
                await stream.WriteAsync(bytes, TestContext.Current.CancellationToken);
                await stream.WriteAsync(bytes, 0, size / 2, TestContext.Current.CancellationToken);
                return null;
            case Step.Read:
                return stream.Read(bytes, size / 3, size / 2) + Convert.ToHexString(bytes);
            case Step.ReadByte:
                return stream.ReadByte();
            case Step.ReadAsync:
                int read = await stream.ReadAsync(bytes.AsMemory(size / 2), TestContext.Current.CancellationToken);
                return read + await stream.ReadAsync(bytes, 0, size / 2, TestContext.Current.CancellationToken)
                    + Convert.ToHexString(bytes);
            case Step.SetPosition:
                return stream.Position = size - 100;
            case Step.SeekCurrent:
                return stream.Seek(size - 2500, SeekOrigin.Current);
            case Step.SeekEnd:
                return stream.Seek(size - 4000, SeekOrigin.End);
            case Step.SetLength:
                stream.SetLength(size - 100);
                return null;
            case Step.CopyTo or Step.CopyToAsync or Step.WriteTo:
                using (MemoryStream target = new())
                {
                    if (step == Step.CopyTo) stream.CopyTo(target);
                    else if (step == Step.CopyToAsync)
                        await stream.CopyToAsync(target, TestContext.Current.CancellationToken);
                    else if (stream is NativeStream ours) ours.WriteTo(target);
                    else ((MemoryStream)stream).WriteTo(target);
                    return Convert.ToHexString(target.ToArray());
                }
            case Step.SetCapacity:
                if (stream is NativeStream native) return native.Capacity = size - 100;
                return (long)(((MemoryStream)stream).Capacity = size - 100);
            case Step.SeekBefore:
                return stream.Seek(-size - 10_000_000, SeekOrigin.Current);
            case Step.SeekNowhere:
                return stream.Seek(0, (SeekOrigin)7);
            default:
                using (CancellationTokenSource source = new())
                {
                    await source.CancelAsync();
                    return size % 3 == 0 ? await stream.ReadAsync(bytes, source.Token)
                        : size % 3 == 1 ? Done(stream.WriteAsync(bytes, source.Token).AsTask())
                        : Done(stream.CopyToAsync(Stream.Null, source.Token));
                }
        }
    }

    private static void WriteToItself(Stream stream, Step step)
    {
        // It doubles; and of no bytes a MemoryStream makes its length the position.
        if (stream.Length > 50_000 || stream.Length < Math.Max(1, stream.Position)) return;
        if (step == Step.CopyToItself) stream.CopyTo(stream);
        else if (stream is NativeStream own) own.WriteTo(own);
        else ((MemoryStream)stream).WriteTo(stream);
    }

    private static object? Done(Task task) => task.Status;

    [Fact]
    public void After_its_end_it_can_do_nothing_and_throws()
    {
        foreach (Stream stream in new Stream[] { new MemoryStream(), new NativeStream(100) })
        {
            stream.WriteByte(1);
            stream.Dispose();
            stream.Dispose();
            Assert.False(stream.CanRead || stream.CanSeek || stream.CanWrite);
            Assert.Throws<ObjectDisposedException>(() => stream.Length);
            Assert.Throws<ObjectDisposedException>(() => stream.Position);
            Assert.Throws<ObjectDisposedException>(() => stream.ReadByte());
            Assert.Throws<ObjectDisposedException>(() => stream.Read(new byte[1], 0, 1));
            Assert.Throws<ObjectDisposedException>(() => stream.WriteByte(1));
            Assert.Throws<ObjectDisposedException>(() => stream.Write(new byte[1], 0, 1));
            Assert.Throws<ObjectDisposedException>(() => stream.CopyTo(Stream.Null));
        }
    }

    [Fact]
    public void Arguments_are_checked_as_those_of_any_stream()
    {
        using NativeStream ours = new();
        using MemoryStream theirs = new();
        foreach (Stream stream in new Stream[] { theirs, ours })
        {
            Assert.Throws<ArgumentNullException>(() => stream.Read(null!, 0, 0));
            Assert.Throws<ArgumentNullException>(() => stream.Write(null!, 0, 0));
            Assert.Throws<ArgumentNullException>(() => stream.CopyTo(null!));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Read(new byte[1], 0, 2));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Write(new byte[1], -1, 1));
            Assert.Throws<ArgumentOutOfRangeException>(() => stream.Position = -1);
        }
        Assert.Throws<ArgumentOutOfRangeException>(() => new NativeStream(-1));
    }

    // Check mode fills what is freed, so bytes that were read of the old memory would show.
    [Fact]
    public void What_is_written_to_the_stream_itself_moves_with_it() =>
        ChildProcess.RunHost([("NATIVEALLOC_CHECK", "1")], StreamToItself.Name).ShouldSucceed();

    [Fact]
    public void What_the_target_frees_while_it_is_written_to_it_stays_until_it_has_it()
    {
        foreach (int size in (int[])[1_000, 3_000_000])
        {
            byte[] bytes = new byte[size];
            new Random(size).NextBytes(bytes);
            foreach (Action<NativeStream> free in (Action<NativeStream>[])[stream => stream.SetLength(2 * size),
                stream => stream.Capacity = 10 * size, stream => stream.Dispose()])
            {
                Assert.True(Reads((source, target) => source.CopyTo(target)), "other bytes were copied");
                Assert.True(Reads((source, target) => source.WriteTo(target)), "other bytes were written");

                bool Reads(Action<NativeStream, Stream> write)
                {
                    using NativeStream source = new(size);
                    source.Write(bytes);
                    source.Position = 0;
                    FreeingStream target = new(() => free(source));
                    write(source, target);
                    return target.ToArray().AsSpan().SequenceEqual(bytes);
                }
            }
        }
    }

    // What was freed is of another user by the time that the bytes are read.
    private sealed unsafe class FreeingStream(Action free) : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            free();
            void* other = NativeAllocator.Alloc((nuint)buffer.Length);
            NativeAllocator.Fill(other, (nuint)buffer.Length, 0xEE);
            base.Write(buffer);
            NativeAllocator.Free(other);
        }
    }

    [Fact]
    public void Asynchronous_members_throw_at_the_call_what_those_of_a_memory_stream_do()
    {
        byte[] bytes = [1];
        Func<Stream, Task>[] calls =
        [
            stream => stream.ReadAsync(bytes, 0, 1), stream => stream.ReadAsync(bytes.AsMemory()).AsTask(),
            stream => stream.WriteAsync(bytes, 0, 1), stream => stream.WriteAsync(bytes.AsMemory()).AsTask(),
            stream => stream.CopyToAsync(new MemoryStream()), stream => stream.CopyToAsync(null!),
            stream => stream.CopyToAsync(Stream.Null, 0), stream => stream.ReadAsync(null!, 0, 0),
            stream => stream.WriteAsync(bytes, 0, 2), stream => stream.FlushAsync(),
            stream => stream.CopyToAsync(Stream.Null, new CancellationToken(true)),
        ];
        foreach (Func<Stream, Task> call in calls)
        {
            MemoryStream theirs = new();
            NativeStream ours = new();
            Assert.Equal(Result(call, theirs), Result(call, ours));
            theirs.Dispose();
            ours.Dispose();
            Assert.Equal(Result(call, theirs), Result(call, ours));
        }

        static (Type? AtCall, Type? InTask, TaskStatus? Status) Result(Func<Stream, Task> call, Stream stream)
        {
            Task? task = null;
            Type? error = Record.Exception(() => { task = call(stream); })?.GetType();
            return (error, task?.Exception?.InnerException?.GetType(), task?.Status);
        }
    }

    [Fact]
    public void Memory_that_goes_beyond_a_lowered_capacity_cannot_be_pinned()
    {
        using NativeStream stream = new();
        Memory<byte> early = stream.GetMemory(10_000);
        early.Span[0] = 1;
        stream.Advance(100);
        stream.Capacity = 100;
        Assert.Throws<ArgumentOutOfRangeException>(() => early.Pin());
        Assert.Throws<ArgumentOutOfRangeException>(() => early.Span.Length);
        using (stream.GetReadOnlySequence().First.Pin())
            Assert.Throws<ArgumentOutOfRangeException>(() => early[200..].Pin());
        stream.Capacity = 100_000;
        early.Pin().Dispose();
        stream.Dispose();
        Assert.Throws<ObjectDisposedException>(() => early.Pin());
    }

    [Fact]
    public void What_lies_before_the_position_is_zero_when_it_becomes_part_of_the_stream()
    {
        using NativeStream stream = new();
        stream.Position = 500;
        stream.Advance(0);
        Assert.Equal(0, stream.Length);
        stream.Position = 0;
        stream.GetSpan(1_000).Fill(0xEE);
        stream.Position = 500;
        stream.Advance(0);
        Assert.Equal(0, stream.Length);
        stream.Advance(1);
        Assert.Equal([.. new byte[500], 0xEE], stream.ToArray());
    }

    [Fact]
    public void A_write_of_nothing_makes_the_stream_as_long_as_its_position()
    {
        foreach (Stream stream in new Stream[] { new MemoryStream(), new NativeStream() })
        {
            stream.Write([]);
            stream.Position = 500;
            stream.Write([]);
            Assert.Equal(500, stream.Length);
            stream.Position = 0;
            byte[] bytes = new byte[600];
            bytes.AsSpan().Fill(0xEE);
            Assert.Equal(500, stream.Read(bytes));
            Assert.False(bytes.AsSpan(0, 500).ContainsAnyExcept((byte)0));
            stream.Dispose();
        }
    }

    [Fact]
    public void It_is_a_buffer_writer_at_its_position()
    {
        using NativeStream stream = new();
        stream.Write([1, 2, 3, 4]);
        stream.Position = 6;
        stream.GetSpan(3)[0] = 9;
        stream.Advance(1);
        stream.GetMemory(1).Span[0] = 8;
        stream.Advance(1);
        Assert.Equal([1, 2, 3, 4, 0, 0, 9, 8], stream.ToArray());
        Assert.Throws<ArgumentException>(() => stream.GetSpan(-1).Length);
        Assert.Throws<ArgumentException>(() => stream.Advance(-1));
        Assert.Throws<InvalidOperationException>(() => stream.Advance(int.MaxValue));
    }

    [Fact]
    public void It_grows_beyond_what_a_memory_stream_can()
    {
        using NativeStream stream = new();
        stream.WriteByte(1);
        stream.Capacity = 3L << 30; // what is not touched costs no memory
        stream.GetSpan(int.MaxValue - 10);
        for (int i = 0; i < 3; i++)
        {
            stream.GetSpan(1 << 30)[^1] = 3;
            stream.Advance((1 << 30) - (i == 2 ? 1 : 0));
        }
        Assert.Equal(3L << 30, stream.Length);
        stream.Position = 0;
        Assert.Equal(1, stream.ReadByte());
        Assert.Throws<InvalidOperationException>(stream.ToArray);
        Assert.Equal(3L << 30, stream.GetReadOnlySequence().Length);
    }
}
