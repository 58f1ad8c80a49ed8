using System.Globalization;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Text.Json;
using NativeAlloc.Diagnostics;
using NativeAlloc.Profiling;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Profiling;

/// <summary>Proves that the profiler's estimates are right, place by place, and that its files can be read.</summary>
public sealed unsafe class ProfilerTests : LeakCheckedTests
{
    // So many samples that what is asserted is four of their standard errors or more.
    private const nuint Gap = 1024;

    private const long BytesEach = 8 << 20;

    [Fact]
    public void What_each_place_holds_is_estimated_within_10_percent()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(BytesEach);
        Profile profile = Profile.Read();
        foreach ((string place, long truth) in mix.Truth) AssertNear(truth, LiveAt(profile, place), 0.10);
        Assert.Equal(0, LiveAt(profile, "FreeAtOnce"));
    }

    [Fact]
    public void Totals_count_what_was_freed_as_well()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(BytesEach);
        Profile profile = Profile.Read();
        long blocks = mix.Truth.Sum(place => TotalAt(profile, place.Key));
        AssertNear(blocks, TotalAt(profile, "FreeAtOnce"), 0.10);
        AssertNear(mix.Truth.Values.Sum() * 3 / 2, blocks, 0.10);
    }

    // Objects of one size are counted several at a time. So a sample that falls into such a group must not go to the
    // size that comes next.
    [Fact]
    public void Sizes_that_take_turns_are_each_counted_by_their_own_bytes()
    {
        const int Turns = 300_000, MeanGap = 4096;
        using Running running = new(MeanGap);
        for (int turn = 0; turn < Turns; turn++)
        {
            NativeAllocator.Free(TakeTurnSmall());
            NativeAllocator.Free(TakeTurnMiddle());
            NativeAllocator.Free(TakeTurnLarge());
        }
        Profile profile = Profile.Read();
        AssertNear(Turns * 64L, TotalAt(profile, nameof(TakeTurnSmall)), 0.09); // of some 4,700 samples: six errors
        AssertNear(Turns * 256L, TotalAt(profile, nameof(TakeTurnMiddle)), 0.045);
        AssertNear(Turns * 1024L, TotalAt(profile, nameof(TakeTurnLarge)), 0.022);
    }

    [Fact]
    public void Blocks_beyond_the_size_classes_take_turns_with_small_ones()
    {
        const int Turns = 4000, MeanGap = 2 << 20, LargeBytes = 600 << 10, SmallBytes = 4096;
        using Running running = new(MeanGap);
        for (int turn = 0; turn < Turns; turn++)
        {
            NativeAllocator.Free(HoldInThread(LargeBytes));
            for (int i = 0; i < LargeBytes / SmallBytes; i++) NativeAllocator.Free(TakeTurnPage());
        }
        Profile profile = Profile.Read();
        // Of some 1,000 samples each: five errors.
        AssertNear((long)Turns * LargeBytes, TotalAt(profile, nameof(HoldInThread)), 0.16);
        AssertNear((long)Turns * LargeBytes, TotalAt(profile, nameof(TakeTurnPage)), 0.16);
    }

    [Fact]
    public void A_free_looks_for_a_sample_only_where_one_may_be()
    {
        using Running running = new(1);
        void* sample = HoldInThread(2 << 20);
        Assert.True(SampleTable.MayHave(sample));
        int maybe = Enumerable.Range(1, 1000).Count(i => SampleTable.MayHave((byte*)sample + i * (nint)(1 << 20)));
        Assert.InRange(maybe, 0, 500);
        NativeAllocator.Free(sample);
    }

    [Fact]
    public void All_that_is_freed_is_gone_from_the_profile_on_any_thread_and_after_the_end()
    {
        KnownMix mix;
        using (Running running = new(Gap)) mix = new KnownMix(1 << 20);
        Assert.NotEqual(0, LiveAt(Profile.Read(), "HoldSmall"));
        TestThread.RunOnNew(mix.Dispose);
        Profile profile = Profile.Read();
        Assert.All(mix.Truth.Keys, place => Assert.Equal(0, LiveAt(profile, place)));
    }

    [Fact]
    public void Threads_that_allocate_and_free_for_each_other_are_counted_right()
    {
        using Running running = new(Gap);
        const int Blocks = 40_000;
        nint[] blocks = new nint[Blocks];
        for (int round = 0; round < 3; round++)
        {
            TestThread.RunOnNew(() =>
            {
                for (int i = 0; i < Blocks; i++) blocks[i] = (nint)HoldInThread(200);
            });
            for (int i = 0; i < Blocks; i += 2)
            {
                NativeAllocator.Free((void*)blocks[i]);
                blocks[i] = 0;
            }
            AssertNear(Blocks / 2 * 208, LiveAt(Profile.Read(), nameof(HoldInThread)), 0.10);
            foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        }
        Assert.Equal(0, LiveAt(Profile.Read(), nameof(HoldInThread)));
    }

    [Fact]
    public void A_block_that_is_resized_is_counted_with_its_new_size()
    {
        const string Own = nameof(A_block_that_is_resized_is_counted_with_its_new_size);
        using Running running = new(16);
        void* block = HoldInThread(2 << 20);
        block = NativeAllocator.Realloc(block, 40 << 20);
        AssertNear(40 << 20, LiveAt(Profile.Read(), Own), 0.01);
        NativeAllocator.Free(block);
        Assert.Equal(0, LiveAt(Profile.Read(), Own));
    }

    [Fact]
    public void Sampling_allocates_nothing_on_the_managed_heap()
    {
        using Running running = new(512);
        AllocateAndFree(2000); // the first samples compile
        long before = GC.GetAllocatedBytesForCurrentThread();
        AllocateAndFree(2000);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.True(TotalAt(Profile.Read(), nameof(AllocateAndFree)) > 0);
    }

    [Fact]
    public void Sampled_blocks_are_blocks_like_others()
    {
        using Running running = new(1); // every allocation
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            void* block = NativeAllocator.AllocZeroed(bytes);
            Assert.True(NativeAllocator.Owns(block));
            Assert.True(NativeAllocator.UsableSize(block) >= bytes);
            for (nuint i = 0; i < Math.Min(bytes, 1000); i++) Assert.Equal(0, ((byte*)block)[i]);
            block = NativeAllocator.Realloc(block, bytes + 100);
            NativeAllocator.Free(block);
            void* aligned = NativeAllocator.AlignedAlloc(bytes, 256);
            Assert.Equal(0u, (nuint)aligned % 256);
            NativeAllocator.Free(aligned);
        }
        NativeAllocator.Verify();
    }

    [Fact]
    public void The_leak_report_has_the_largest_first_with_its_age()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(1 << 20);
        void* leak = HoldInThread(60 << 20);
        using StringWriter writer = new();
        LeakReport.Write(writer);
        string[] lines = writer.ToString().Split('\n');
        NativeAllocator.Free(leak);
        Assert.Contains(nameof(HoldInThread), lines.First(line => line.Contains(" MiB ", StringComparison.Ordinal)
            && line.Contains("ProfilerTests", StringComparison.Ordinal)), StringComparison.Ordinal);
        AssertNear(mix.Truth.Values.Sum(), (long)LeakReport.LiveBytes, 0.10);
        Assert.Throws<ArgumentNullException>(() => LeakReport.Write(null!));
    }

    [Fact]
    public void A_leak_among_30_other_places_is_the_first_row_at_the_exit_of_the_process()
    {
        ChildProcess process =
            ChildProcess.RunHost([("NATIVEALLOC_LEAKS", "1")], PlantedLeak.Name).ShouldSucceed();
        string[] lines = process.Errors.Split('\n');
        int first = Array.FindIndex(lines, line => line.Contains("PlantedLeak.", StringComparison.Ordinal));
        Assert.True(first >= 0, process.Errors);
        string line = lines[first];
        Assert.Matches(@"PlantedLeak\.Leak in .*PlantedLeak\.cs:" + process.Output.Trim(), line);
        double mebibytes = double.Parse(line.TrimStart().Split(' ')[0], CultureInfo.InvariantCulture);
        Assert.InRange(mebibytes, 70, 130); // four standard errors
    }

    [Fact]
    public void Starting_twice_and_stopping_what_does_not_run_are_errors()
    {
        Assert.Throws<InvalidOperationException>(AllocationProfiler.Stop);
        Assert.Throws<ArgumentOutOfRangeException>(() => AllocationProfiler.Start(0));
        using (Running running = new(Gap))
        {
            Assert.True(AllocationProfiler.IsRunning);
            Assert.Throws<InvalidOperationException>(() => AllocationProfiler.Start());
            Assert.True(AllocationProfiler.IsRunning);
        }
        Assert.False(AllocationProfiler.IsRunning);
        Assert.Throws<InvalidOperationException>(AllocationProfiler.Stop);
    }

    [Fact]
    public void Pprof_is_read_by_its_schema_and_adds_up()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(1 << 20);
        Pprof.Profile profile = ReadPprof();
        string Text(long index) => profile.StringTable[(int)index];
        Assert.Equal(["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"],
            profile.SampleType.Select(type => $"{Text(type.Type)}/{Text(type.Unit)}"));
        Assert.Equal("", profile.StringTable[0]);
        Assert.Equal("inuse_space", Text(profile.DefaultSampleType));
        Dictionary<ulong, Pprof.Function> functions = profile.Function.ToDictionary(function => function.Id);
        Dictionary<ulong, Pprof.Location> locations = profile.Location.ToDictionary(location => location.Id);
        Dictionary<ulong, Pprof.Mapping> mappings = profile.Mapping.ToDictionary(mapping => mapping.Id);
        long small = 0;
        foreach (Pprof.Sample sample in profile.Sample)
        {
            Assert.Equal(4, sample.Value.Count);
            Assert.True(sample.Value[0] >= sample.Value[2] && sample.Value[1] >= sample.Value[3]);
            Assert.Contains(sample.Label, label => Text(label.Key) == "pid" && label.Num == Environment.ProcessId);
            string[] names =
                [.. sample.LocationId.Select(id => Text(functions[locations[id].Line[0].FunctionId].Name))];
            if (names.Any(name => name.EndsWith(".HoldSmall", StringComparison.Ordinal))) small += sample.Value[3];
        }
        Assert.Equal(LiveAt(Profile.Read(), "HoldSmall"), small);
        Pprof.Mapping own = Assert.Single(profile.Mapping, mapping => Text(mapping.Filename) == "NativeAlloc.Tests");
        Assert.Equal(typeof(ProfilerTests).Module.ModuleVersionId.ToString("N"), Text(own.BuildId));
        Assert.All(profile.Location, location => Assert.Contains(location.MappingId, mappings.Keys));
    }

    [Fact]
    public void Speedscope_has_the_shape_of_its_schema()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(1 << 20);
        using MemoryStream stream = new();
        AllocationProfiler.WriteSpeedscope(stream);
        JsonElement json = JsonDocument.Parse(stream.ToArray()).RootElement;
        Assert.Equal("https://www.speedscope.app/file-format-schema.json", json.GetProperty("$schema").GetString());
        string[] frames = [.. json.GetProperty("shared").GetProperty("frames").EnumerateArray()
            .Select(frame => frame.GetProperty("name").GetString()!)];
        Assert.Contains(frames, name => name.EndsWith("KnownMix.HoldSmall", StringComparison.Ordinal));
        Assert.Equal(2, json.GetProperty("profiles").GetArrayLength());
        foreach (JsonElement profile in json.GetProperty("profiles").EnumerateArray())
        {
            Assert.Equal("sampled", profile.GetProperty("type").GetString());
            Assert.Equal("bytes", profile.GetProperty("unit").GetString());
            JsonElement samples = profile.GetProperty("samples"), weights = profile.GetProperty("weights");
            Assert.Equal(samples.GetArrayLength(), weights.GetArrayLength());
            Assert.Equal(profile.GetProperty("endValue").GetInt64(),
                weights.EnumerateArray().Sum(weight => weight.GetInt64()));
            Assert.All(samples.EnumerateArray().SelectMany(sample => sample.EnumerateArray()),
                frame => Assert.InRange(frame.GetInt32(), 0, frames.Length - 1));
        }
    }

    [Fact]
    public void Top_names_methods_and_with_lines_also_files()
    {
        AllocationProfiler.WithLines = true;
        try
        {
            using Running running = new(Gap);
            using KnownMix mix = new(1 << 20);
            string text = WriteTop(3);
            Assert.Matches(@"NativeAlloc\.Tests\.Profiling\.KnownMix\.Hold\w+ in .*KnownMix\.cs:\d+", text);
            Assert.Equal(3, text.Split('\n').Count(line => line.Contains("KnownMix.Hold", StringComparison.Ordinal)));
        }
        finally
        {
            AllocationProfiler.WithLines = false;
        }
    }

    [Fact]
    public void Asynchronous_methods_and_lambdas_go_by_their_own_names()
    {
        using Running running = new(1);
#pragma warning disable xUnit1031 // Unsafe code cannot await, and the task has ended when the method returns.
        nint fromAsync = AsyncPlaces.HoldAsync().GetAwaiter().GetResult();
#pragma warning restore xUnit1031
        nint fromLambda = ((Func<nint>)(() => (nint)NativeAllocator.Alloc(5001)))();
        string[] names = [.. Profile.Read().Stacks.Where(stack => stack.Live.Bytes > 0)
            .Select(stack => TopWriter.NameOf(stack.Frames, 0))];
        NativeAllocator.Free((void*)fromAsync);
        NativeAllocator.Free((void*)fromLambda);
        Assert.Contains("NativeAlloc.Tests.Profiling.AsyncPlaces.HoldAsync", names);
        Assert.Contains("NativeAlloc.Tests.Profiling.ProfilerTests." +
            nameof(Asynchronous_methods_and_lambdas_go_by_their_own_names) + ".lambda", names);
    }

    [Fact]
    public void A_stream_that_fails_gives_its_own_exception_and_the_next_write_is_whole()
    {
        using Running running = new(Gap);
        using KnownMix mix = new(1 << 20);
        Assert.Throws<IOException>(() => AllocationProfiler.WritePprof(new FailingStream(100)));
        Assert.Throws<IOException>(() => AllocationProfiler.WriteSpeedscope(new FailingStream(100)));
        Assert.NotEmpty(ReadPprof().Sample);
        Assert.Throws<ArgumentNullException>(() => AllocationProfiler.WritePprof(null!));
        Assert.Throws<ArgumentNullException>(() => AllocationProfiler.WriteSpeedscope(null!));
        Assert.Throws<ArgumentNullException>(() => AllocationProfiler.WriteTop(null!, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => AllocationProfiler.WriteTop(TextWriter.Null, -1));
    }

    [Fact]
    public void Frees_share_their_magazines_with_allocations_again_after_the_end()
    {
        using (Running running = new(Gap)) AllocateAndFree(1000);
        void* block = NativeAllocator.Alloc(700);
        NativeAllocator.Free(block);
        void* next = NativeAllocator.Alloc(700);
        NativeAllocator.Free(next);
        Assert.Equal((nint)block, (nint)next);
        NativeAllocator.Verify();
    }

    private static void AllocateAndFree(int count)
    {
        for (int i = 0; i < count; i++) NativeAllocator.Free(NativeAllocator.Alloc((nuint)(i % 3000)));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* TakeTurnSmall() => NativeAllocator.Alloc(64);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* TakeTurnMiddle() => NativeAllocator.Alloc(256);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* TakeTurnLarge() => NativeAllocator.Alloc(1024);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* TakeTurnPage() => NativeAllocator.Alloc(4096);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldInThread(nuint bytes) => NativeAllocator.Alloc(bytes);

    private static void AssertNear(long expected, long actual, double share) =>
        Assert.InRange(actual, expected * (1 - share), expected * (1 + share));

    private static long LiveAt(Profile profile, string method) => At(profile, method, stack => stack.Live.Bytes);

    private static long TotalAt(Profile profile, string method) => At(profile, method, stack => stack.Total.Bytes);

    private static long At(Profile profile, string method, Func<ProfileStack, long> bytes) => profile.Stacks
        .Where(stack => stack.Frames.Any(frame => frame.Method.EndsWith("." + method, StringComparison.Ordinal)))
        .Sum(bytes);

    private static string WriteTop(int rows)
    {
        using StringWriter writer = new();
        AllocationProfiler.WriteTop(writer, rows);
        return writer.ToString();
    }

    private static Pprof.Profile ReadPprof()
    {
        using MemoryStream stream = new();
        AllocationProfiler.WritePprof(stream);
        Assert.True(stream.CanWrite);
        stream.Position = 0;
        using GZipStream plain = new(stream, CompressionMode.Decompress);
        return Pprof.Profile.Parser.ParseFrom(plain);
    }

    private sealed class Running : IDisposable
    {
        internal Running(nuint gap) => AllocationProfiler.Start(gap);

        public void Dispose() => AllocationProfiler.Stop();
    }

    private sealed class FailingStream(int after) : MemoryStream
    {
        private int _written;

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            _written += buffer.Length;
            if (_written > after) throw new IOException("The disk is full.");
        }

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));
    }
}

internal static class AsyncPlaces
{
    internal static async Task<nint> HoldAsync()
    {
        await Task.Yield();
        unsafe
        {
            nint block = (nint)NativeAllocator.Alloc(5000);
            // It runs on a thread of the pool, which may end in the middle of a later test: what it had would go back.
            NativeAllocator.ReleaseThreadCache();
            return block;
        }
    }
}
