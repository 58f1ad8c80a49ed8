using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>
/// Proves that <c>Trim</c> gives free memory back to the system, all of it, and nothing that is in use.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class TrimTests : LeakCheckedTests
{
    private const nuint Volume = 128 * Sizes.MiB;

    [Theory]
    [InlineData(100)]
    [InlineData(3000)]
    [InlineData(40_000)]
    [InlineData(1_000_000)]
    [InlineData(20_000_000)]
    public void Freed_memory_goes_back_to_the_system(int blockBytes) => WhileNoThreadEnds(() =>
    {
        Touch((nuint)blockBytes);
        long before = ProcessMemory.ResidentBytes();
        nuint purgedBefore = NativeAllocator.GetStatistics().PurgedBytes;
        nuint returned = NativeAllocator.Trim();
        long fell = before - ProcessMemory.ResidentBytes();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        nuint again = NativeAllocator.Trim();
        return () =>
        {
            Assert.True(returned >= Volume, $"{returned} of {Volume} bytes were returned");
            Assert.Equal(purgedBefore + returned, after.PurgedBytes);
            // Pages that were never touched count as returned, and the process may need some for itself meanwhile.
            Assert.True(fell >= (long)(Volume - Volume / 8), $"resident memory fell by {fell} of {Volume} bytes");
            Assert.Equal((nuint)0, again);
        };
    });

    [Fact]
    public void Live_blocks_keep_their_contents()
    {
        nint[] blocks = new nint[Sizes.AcrossLayers.Length];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(Sizes.AcrossLayers[i]);
            Pattern.Fill((void*)blocks[i], Sizes.AcrossLayers[i], (ulong)i);
        }
        Touch(2000);
        Assert.True(NativeAllocator.Trim() > 0);
        for (int i = 0; i < blocks.Length; i++)
        {
            Pattern.Check((void*)blocks[i], Sizes.AcrossLayers[i], (ulong)i);
            NativeAllocator.Free((void*)blocks[i]);
        }
    }

    [Fact]
    public void The_caches_of_a_thread_that_has_ended_are_emptied() => WhileNoThreadEnds(() =>
    {
        nuint ofOthers = NativeAllocator.GetStatistics().CachedBytes; // of the runner's threads, which live
        TestThread.RunOnNew(() => Touch(500));
        nuint during = NativeAllocator.GetStatistics().CachedBytes;
        NativeAllocator.Trim();
        nuint after = NativeAllocator.GetStatistics().CachedBytes;
        return () =>
        {
            Assert.True(during > ofOthers);
            Assert.Equal(ofOthers, after);
        };
    });

    [Fact]
    public void A_thread_that_rests_keeps_little_and_nothing_when_it_has_ended()
    {
        nuint during = 0, after = 0;
        WhileNoThreadEnds(() =>
        {
            nuint ofOthers = NativeAllocator.GetStatistics().CachedBytes;
            using (TestThread thread = new())
            {
                thread.Run(() => Touch(500));
                NativeAllocator.Trim();
                during = NativeAllocator.GetStatistics().CachedBytes - ofOthers;
            }
            NativeAllocator.Trim();
            after = NativeAllocator.GetStatistics().CachedBytes - ofOthers;
            return () => Assert.Equal((512u, 0u), (during, after)); // an object of the size
        });
    }

    [Fact]
    public void Nothing_is_cached_or_dirty_afterwards_but_what_is_live() => WhileNoThreadEnds(() =>
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        Touch(700);
        Touch(2_000_000);
        NativeAllocator.Trim();
        AllocatorStatistics after = NativeAllocator.GetStatistics();
        return () =>
        {
            Assert.Equal(before.CachedBytes, after.CachedBytes);
            Assert.Equal(before.SlabFreeBytes, after.SlabFreeBytes);
            Assert.Equal(before.ResidentEstimateBytes, after.ResidentEstimateBytes);
        };
    });

    // A thread of the runner that has run tests keeps an object of each size, and gives them up when it ends: once more
    // then.
    private static void WhileNoThreadEnds(Func<Action> test)
    {
        int owners;
        Action check;
        do
        {
            NativeAllocator.Trim();
            owners = CountOwners();
            check = test();
        }
        while (CountOwners() != owners);
        check();
    }

    private static int CountOwners() => Enumerable.Range(0, ThreadRegistry.Count).Count(index =>
        ThreadBlock.HeaderOf(ThreadRegistry.At(index))->State == ThreadBlockState.Owned);

    [Fact]
    public void A_section_that_is_taken_offline_and_used_again_costs_no_mappings_any_more()
    {
        Use();
        Assert.True(Rest.OfflineSections > 0);
        int before = Rest.Mappings; // without those of sections that are offline now
        Use();
        Assert.Equal(before, Rest.Mappings);

        static void Use()
        {
            Touch(2000);
            FreeSection();
            NativeAllocator.Trim();
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void No_section_goes_offline_while_a_thread_reads_magazines_that_may_be_gone(bool pops)
    {
        FreeSection();
        Reclaimer.GiveBack();
        int before = Rest.OfflineSections, meanwhile = -1;
        if (pops)
        {
            Depot* depot = &CacheTable.CacheAt(SizeClasses.Of(64))->Node(0)->Depot;
            nint block;
            using (new WhileReached(_ => TakeOffline())) block = depot->PopEmpty();
            if (block != 0) depot->PushEmpty(block);
        }
        else
        {
            ForeignReads.Begin();
            TakeOffline();
            ForeignReads.End();
        }
        Assert.Equal(before, meanwhile);
        SectionRelease.TakeSectionsOffline();
        Assert.True(Rest.OfflineSections > before, $"a section goes offline; nobody reads: {MagazineReads.TryAwait()}");
        PageLayer.Verify();

        void TakeOffline()
        {
            if (meanwhile >= 0) return;
            meanwhile = 0;
            SectionRelease.TakeSectionsOffline();
            meanwhile = Rest.OfflineSections;
        }
    }

    [Fact]
    public void Nothing_becomes_inaccessible_under_a_reader_where_commit_is_charged()
    {
        if (OperatingSystem.IsLinux()) ChildProcess.RunHost(ReadWhilePurged.Name).ShouldSucceed();
    }

    [Fact]
    public void Several_at_once_and_during_everything_else_lose_nothing()
    {
        const int Workers = 2, Trimmers = 2;
        int working = Workers;
        TestThread.RunTogether(Workers + Trimmers, number =>
        {
            if (number >= Workers)
            {
                while (Volatile.Read(ref working) != 0) NativeAllocator.Trim();
                return;
            }
            try
            {
                Random random = new(number);
                (nint Block, int Bytes)[] held = new (nint, int)[300];
                for (int step = 0; step < 60_000 + held.Length; step++)
                {
                    int index = step < 60_000 ? random.Next(held.Length) : step - 60_000;
                    (nint block, int bytes) = held[index];
                    if (block != 0) Pattern.Check((void*)block, (nuint)bytes, (ulong)index);
                    NativeAllocator.Free((void*)block);
                    held[index] = default;
                    if (step >= 60_000) continue;
                    bytes = random.Next(200) == 0
                        ? random.Next(1 << 20)
                        : random.Next(20) == 0
                        ? random.Next(70_000)
                        : random.Next(1000);
                    held[index] = ((nint)NativeAllocator.Alloc((nuint)bytes), bytes);
                    Pattern.Fill((void*)held[index].Block, (nuint)bytes, (ulong)index);
                }
            }
            finally
            {
                Interlocked.Decrement(ref working);
            }
        });
    }

    [Fact]
    public void A_shrinker_may_trim()
    {
        nuint returned = 0;
        using (PageAllocator.RegisterShrinker(_ =>
        {
            Touch(5000);
            returned = NativeAllocator.Trim();
            return returned;
        }))
        {
            Assert.True(Reclaimer.Run(1, out Exception? error));
            Assert.Null(error);
        }
        Assert.True(returned >= Volume);
    }

    [Fact]
    public void Finalizers_and_the_end_of_a_process_may_trim_while_other_threads_are_at_work()
    {
        string[] lines = ChildProcess.RunHost(TrimAtExit.Name).ShouldSucceed().Output.Split('\n');
        Assert.True(int.Parse(lines[0], System.Globalization.CultureInfo.InvariantCulture) > 0);
        Assert.Equal(TrimAtExit.LastWord, lines[1]);
    }

    [Fact]
    public void What_was_given_back_does_not_come_back_by_being_read()
    {
        ChildProcess dumped = ChildProcess.RunHost(DumpedProcess.Name).ShouldSucceed();
        long[] kibibytes = [.. dumped.Output.Split(' ').Select(static number =>
            long.Parse(number, System.Globalization.CultureInfo.InvariantCulture))];
        // The section with the page in use can be read, and is purged by the trim.
        Assert.InRange(kibibytes[0], 0, DumpedProcess.VolumeKiB / 2);
        Assert.InRange(kibibytes[1], long.MinValue, 64);
    }

    // Threads of the runner keep objects, which may lie in all sections that small blocks come from.
    private static void FreeSection()
    {
        Page section = PageAllocator.AllocPages(PageAllocator.MaxOrder);
        PageAllocator.FreePages(section, PageAllocator.MaxOrder);
    }

    private static void Touch(nuint blockBytes)
    {
        nint[] blocks = new nint[(int)(Volume / blockBytes) + 1];
        for (int i = 0; i < blocks.Length; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(blockBytes);
            new Span<byte>((void*)blocks[i], (int)blockBytes).Fill(1);
        }
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }
}
