using System.Globalization;
using NativeAlloc.Checking;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Profiling;

namespace NativeAlloc;

/// <summary>
/// What is allocated and not freed, by the code that allocated it. In check mode it is exact, of the blocks that check
/// mode guards: those of a <see cref="NativeHeap"/> and of <see cref="PageAllocator"/> are not among them. Otherwise it
/// is estimated from the live samples of the <see cref="AllocationProfiler"/>. That must have run while the blocks were
/// allocated; it need not run any more (<see cref="AllocationProfiler.Stop"/> says what becomes of blocks that are
/// resized then).
/// </summary>
public static class LeakReport
{
    private const int MostRows = 100, MillisecondsPerSecond = 1000;

    /// <summary>1 once the report at the end was asked for. By Interlocked.</summary>
    private static int s_hasBegun;

    /// <summary>
    /// Bytes that are live: in check mode those of all blocks that it guards, otherwise what the live samples stand
    /// for.
    /// </summary>
    public static nuint LiveBytes => Options.Check
        ? (nuint)CheckedBlocks.ReadLive().Sum(static live => (long)live.Bytes)
        : (nuint)Math.Max(0, Profile.Read().LiveBytes);

    /// <summary>
    /// Writes a row for each stack that holds something, the largest first: bytes and blocks (estimated), the samples
    /// that this is known from, the age of the oldest and of the newest block among them, and the code.
    /// </summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    public static void Write(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        if (Options.Check)
        {
            NativeAllocator.WriteLeaks(writer);
            return;
        }
        Dictionary<string, (long Oldest, long Newest)> ages = ReadAges();
        Profile profile = Profile.Read();
        List<ProfileStack> live = [.. profile.Stacks.Where(stack => stack.LiveSamples != 0)];
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"NativeAlloc leak report: {TopWriter.Size(profile.LiveBytes)} live, estimated from " +
            $"{live.Sum(stack => stack.LiveSamples)} samples of {live.Count} stacks."));
        if (AllocationSampler.Lost != 0)
            writer.WriteLine($"{AllocationSampler.Lost} samples were lost, as there was no memory for them.");
        writer.WriteLine($"{"bytes",12} {"blocks",10} {"samples",8} {"oldest",8} {"newest",8}  stack");
        foreach (ProfileStack stack in live.Take(MostRows))
        {
            (long oldest, long newest) = ages.GetValueOrDefault(Profile.KeyOf(stack.Frames));
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{TopWriter.Size(stack.Live.Bytes),12} {stack.Live.Blocks,10} {stack.LiveSamples,8} " +
                $"{Age(oldest),8} {Age(newest),8}  {TopWriter.NameOf(stack.Frames, 0)}"));
            TopWriter.WriteCallers(writer, stack.Frames, indent: 52);
        }
        if (live.Count > MostRows) writer.WriteLine($"and {live.Count - MostRows} stacks more");
    }

    /// <summary>
    /// Starts the profiler, and has the report written to standard error when the process ends; the first call does.
    /// What goes wrong is none of the allocating thread's business.
    /// </summary>
    internal static void BeginOnce()
    {
        if (Interlocked.Exchange(ref s_hasBegun, 1) != 0) return;
        try
        {
            AllocationProfiler.WithLines = true;
            if (!AllocationProfiler.IsRunning) AllocationProfiler.Start();
            AppDomain.CurrentDomain.ProcessExit += static (_, _) => Write(Console.Error);
        }
        catch (Exception)
        {
            // Another thread has started it, or there is no memory: there is no report then.
        }
    }

    private static string Age(long milliseconds)
    {
        long seconds = (Environment.TickCount64 - milliseconds) / MillisecondsPerSecond;
        return string.Create(CultureInfo.InvariantCulture, $"{seconds} s");
    }

    private static Dictionary<string, (long Oldest, long Newest)> ReadAges()
    {
        Dictionary<int, (long Oldest, long Newest)> byStack = [];
        SampleRecord[] samples = new SampleRecord[AllocationSampler.CopyAtOnce];
        for (int first = 0, count; (count = AllocationSampler.CopySamples(first, samples)) != 0; first += count)
            foreach (SampleRecord sample in samples.AsSpan(0, count))
                if (sample.Address != 0) Widen(byStack, sample.Stack, sample.Milliseconds, sample.Milliseconds);
        Dictionary<string, (long Oldest, long Newest)> byKey = [];
        foreach ((int stack, (long oldest, long newest)) in byStack)
            Widen(byKey, Profile.KeyOf(StackNames.Of(stack)), oldest, newest);
        return byKey;
    }

    private static void Widen<T>(Dictionary<T, (long Oldest, long Newest)> ages, T key, long oldest, long newest)
        where T : notnull
    {
        (long Oldest, long Newest) known = ages.GetValueOrDefault(key, (oldest, newest));
        ages[key] = (Math.Min(known.Oldest, oldest), Math.Max(known.Newest, newest));
    }
}
