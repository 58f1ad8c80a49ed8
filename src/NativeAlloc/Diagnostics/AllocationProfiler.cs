using NativeAlloc.Common;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Profiling;

namespace NativeAlloc;

/// <summary>
/// Tells which code allocated the native memory that is live, and how much it allocated: a profiler by samples, which
/// can be switched on and off in a running process.
/// </summary>
/// <remarks>
/// <para>Every byte that is allocated is sampled with the same probability, so what a stack holds is estimated without
/// bias, and the larger it is the better. With a mean gap of 512 KiB, 100 MiB are known to 7 %.</para>
/// <para>While it is off nothing is paid for it. While it is on, an allocation in so many bytes takes its stack, and
/// allocations of up to 32 KiB are counted, up to 32 of a size at a time: a nanosecond or more for each. Frees stay as
/// they are.</para>
/// <para>Blocks of <see cref="NativeAllocator"/> and of all that is built on it are sampled. Those of
/// <see cref="PageAllocator"/> and of <see cref="Vmalloc"/> are not. Nor are objects of a <see cref="SlabCache"/> and
/// blocks of a <see cref="NativeHeap"/> up to 512 KiB, whose names stand in the slab report.</para>
/// <para>All members may be called from any thread. <see cref="Start"/> and <see cref="Stop"/> of two threads at the
/// same time follow each other in some order.</para>
/// </remarks>
public static class AllocationProfiler
{
    private const nuint DefaultSampleBytes = 512 * 1024;

    /// <summary>1 while a thread starts or stops it. By Interlocked.</summary>
    private static int s_changing;

    /// <summary>1 while it runs. Written by the thread that changes it.</summary>
    private static int s_isRunning;

    /// <summary>Whether samples are taken at present.</summary>
    public static bool IsRunning => Volatile.Read(ref s_isRunning) != 0;

    /// <summary>
    /// Whether new stacks are taken with files and lines, as far as there are symbols (.pdb). It takes some ten
    /// milliseconds for the first stack and some microseconds for others, and managed memory, on the thread that
    /// allocates: leave it off where native code allocates through callbacks. Off at first.
    /// </summary>
    public static bool WithLines
    {
        get => StackLines.IsOn;
        set => StackLines.IsOn = value;
    }

    /// <summary>
    /// Blocks that were allocated since the start, as the samples tell: an estimate. With a gap of one byte each block
    /// is a sample, and of the smallest ones alone, those of 16 bytes, one in nine million is missed. A <c>Realloc</c>
    /// that moves a block, or adds pages to it, counts as an allocation of the new size.
    /// </summary>
    public static long AllocatedBlocks => AllocationSampler.ReadTotal().Blocks;

    /// <summary>
    /// Bytes of these: of a block up to 512 KiB what the allocator keeps for it, of a larger one what was asked for.
    /// </summary>
    public static long AllocatedBytes => AllocationSampler.ReadTotal().Bytes;

    /// <summary>Begins to sample. Totals begin anew; samples that are live from an earlier time stay.</summary>
    /// <param name="sampleEveryBytes">Bytes from one sample to the next, on average over all threads.</param>
    /// <exception cref="ArgumentOutOfRangeException">The gap is 0.</exception>
    /// <exception cref="InvalidOperationException">The profiler runs already.</exception>
    public static void Start(nuint sampleEveryBytes = DefaultSampleBytes)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sampleEveryBytes);
        Startup.Begin();
        Options.ThrowIfWrong();
        Change(running: true, sampleEveryBytes);
    }

    /// <summary>
    /// Ends sampling. The profile can still be written, and frees of sampled blocks are still counted. A sampled block
    /// whose size changes afterwards stays in the profile, with its new size. Only where <c>Realloc</c> copies it into
    /// a block of up to 512 KiB its sample may end.
    /// </summary>
    /// <exception cref="InvalidOperationException">The profiler does not run.</exception>
    public static void Stop() => Change(running: false, 0);

    /// <summary>
    /// Writes the profile in the format of pprof (<c>profile.proto</c>, compressed): <c>alloc_objects</c> and
    /// <c>alloc_space</c> since the start, <c>inuse_objects</c> and <c>inuse_space</c> at present.
    /// </summary>
    /// <param name="stream">Where to; it is flushed and stays open.</param>
    /// <exception cref="ArgumentNullException">There is no stream.</exception>
    public static void WritePprof(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        PprofWriter.Write(stream, Profile.Read());
    }

    /// <summary>
    /// Writes the profile for speedscope (https://www.speedscope.app): live bytes, and bytes since the start.
    /// </summary>
    /// <param name="stream">Where to; it is flushed and stays open.</param>
    /// <exception cref="ArgumentNullException">There is no stream.</exception>
    public static void WriteSpeedscope(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        SpeedscopeWriter.Write(stream, Profile.Read());
    }

    /// <summary>Writes the stacks that hold the most, as text.</summary>
    /// <param name="writer">Where to.</param>
    /// <param name="rows">How many stacks at most.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of rows is negative.</exception>
    public static void WriteTop(TextWriter writer, int rows)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        TopWriter.Write(writer, Profile.Read(), rows);
    }

    /// <summary>
    /// Writes which stacks' live blocks keep slabs that are nearly empty: for each stack the free bytes of the slabs
    /// that its blocks lie in, shared by all live blocks of a slab. Holes of slabs whose memory has gone back count as
    /// free bytes, too. Blocks of up to 32 KiB are looked at, as larger ones have pages of their own or few neighbours.
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <param name="rows">How many stacks at most.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The number of rows is negative.</exception>
    public static void WriteFragmentation(TextWriter writer, int rows)
    {
        ArgumentNullException.ThrowIfNull(writer);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        Fragmentation.Write(writer, rows);
    }

    private static void Change(bool running, nuint sampleEveryBytes)
    {
        while (Interlocked.Exchange(ref s_changing, 1) != 0)
        {
            SchedulePoint.GiveWay();
            Thread.Yield();
        }
        try
        {
            if (running == IsRunning) ThrowHelper.ThrowProfilerState(running);
            if (running) AllocationSampler.Begin(sampleEveryBytes);
            else AllocationSampler.End();
            Volatile.Write(ref s_isRunning, running ? 1 : 0);
            if (!running) return;
            StackNames.BeginResolving();
            AllocatorTelemetry.MakeOnce();
        }
        finally
        {
            Volatile.Write(ref s_changing, 0);
        }
    }
}
