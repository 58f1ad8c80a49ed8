using System.Globalization;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests;

/// <summary>
/// Proves that any system call may fail, at any time: each call ends as documented, no block is harmed, and when the
/// system is well again all is in order and everything can be freed. One test per kind of call makes the first of them
/// fail, then the second, and so on, until the scenario does not make so many; each alone, and each with all that
/// follow.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class FaultTests : LeakCheckedTests
{
    // Hundreds of calls are of the same kind: of those behind the first, only some fail.
    private const int AllOfFirst = 20, Step = 29;

    // Sections that are brought online stay. That each of their commits fails is tried in processes that start.
    private const int SectionCommits = 2;

    /// <summary>Every kind of call and both ways of failing.</summary>
    public static MatrixTheoryData<string, bool> Faults => new(Enum.GetNames<OsCall>(), [false, true]);

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_system_call_that_fails_does_no_harm(string kindName, bool andAllLater)
    {
        OsCall kind = Enum.Parse<OsCall>(kindName);
        (int calls, int failures) = FaultRuns.FailEach(
            kind,
            andAllLater,
            first =>
            {
                BlockFaultScenario scenario = new();
                NativeAllocator.Trim(); // so that what other tests left does not count
                AreaDensity.Credit = nuint.MaxValue; // huge pages are asked for
                // The first commits are those of sections, later ones of areas.
                if (kind == OsCall.Commit && first < SectionCommits) scenario.TakeFreePages();
                return scenario;
            },
            check: () => { },
            inFull: AllOfFirst,
            step: Step);
        bool reached = calls > 0, outOfMemory = failures > 0;
        // Otherwise this would prove nothing: these the scenario must come by, and those must be felt.
        if (kind is OsCall.Commit or OsCall.Move or OsCall.Decommit or OsCall.Purge or OsCall.AdviseHuge)
            Assert.True(reached, $"the scenario makes no {kind}");
        if (kind is OsCall.Commit && andAllLater) Assert.True(outOfMemory, $"no step felt that {kind} failed");
    }

    [Theory]
    [InlineData(nameof(OsCall.Reserve), StartupFaults.Once)]
    [InlineData(nameof(OsCall.Reserve), StartupFaults.FromThenOn)]
    [InlineData(nameof(OsCall.Commit), StartupFaults.Once)]
    [InlineData(nameof(OsCall.Commit), StartupFaults.FromThenOn)]
    [InlineData(nameof(OsCall.Move), StartupFaults.FromThenOn)]
    [InlineData(nameof(OsCall.Decommit), StartupFaults.FromThenOn)]
    public void A_system_call_that_fails_while_the_process_starts_does_no_harm(string kind, string which) =>
        FaultRuns.FailEachInProcesses(
            StartupFaults.Name,
            first => [kind, first.ToString(CultureInfo.InvariantCulture), which],
            mayRunOut: true,
            inFull: AllOfFirst, // what comes late comes in a process that has started, too
            step: Step);

    [Theory]
    [InlineData(TableFaults.Heap, nameof(OsCall.Reserve))]
    [InlineData(TableFaults.Heap, nameof(OsCall.Commit))]
    [InlineData(TableFaults.Check, nameof(OsCall.Reserve))]
    [InlineData(TableFaults.Check, nameof(OsCall.Commit))]
    [InlineData(TableFaults.Profiler, nameof(OsCall.Reserve))]
    [InlineData(TableFaults.Profiler, nameof(OsCall.Commit))]
    public void A_system_call_that_fails_while_a_table_is_made_does_no_harm(string table, string kind) =>
        FaultRuns.FailEachInProcesses(
            TableFaults.Name,
            first => [table, kind, first.ToString(CultureInfo.InvariantCulture)],
            mayRunOut: true);

    [Theory]
    [InlineData(null)]
    [InlineData(nameof(OsCall.Commit))]
    [InlineData(nameof(OsCall.Move))]
    [InlineData(nameof(OsCall.Decommit))]
    public void A_block_that_cannot_grow_stands_as_it_was(string? kindName)
    {
        OsCall? kind = kindName == null ? null : Enum.Parse<OsCall>(kindName);
        BlockFaultScenario ballast = new();
        ballast.TakeFreePages();
        int failures = 0;
        nuint[] sizes = [100, 5000, 100_000, 3 * Sizes.MiB, 70 * Sizes.MiB];
        foreach (nuint bytes in sizes)
        {
            void* block = NativeAllocator.Alloc(bytes);
            nuint usable = NativeAllocator.UsableSize(block);
            Pattern.Fill(block, bytes, 6);
            foreach (nuint to in new nuint[] { Sizes.LargestPages, 90 * Sizes.MiB })
            {
                nint resized = (nint)block;
                bool failed = false;
                new FaultPlan(kind, 0, andAllLater: true).Run(() =>
                {
                    try
                    {
                        resized = (nint)NativeAllocator.Realloc(block, to);
                    }
                    catch (OutOfMemoryException)
                    {
                        failed = true;
                    }
                });
                if (failed)
                {
                    failures++;
                    Assert.Equal((nint)block, resized);
                    Assert.Equal(usable, NativeAllocator.UsableSize(block));
                }
                Pattern.Check((void*)resized, Math.Min(bytes, to), 6);
                block = NativeAllocator.Realloc((void*)resized, bytes);
                Pattern.Check(block, Math.Min(bytes, to), 6);
                usable = NativeAllocator.UsableSize(block);
                Pattern.Fill(block, bytes, 6);
            }
            NativeAllocator.Free(block);
        }
        ballast.FreeAll();
        // Where one kind fails there is often another way: scattered pages for new ones, a copy for a move. Where all
        // fail there is none.
        if (kind is null or OsCall.Commit) Assert.True(failures > 0, "no block felt it");
    }

    [Fact]
    public void Where_the_system_has_nothing_left_what_the_caches_hold_is_used()
    {
        // Some pages of the smallest blocks, which are freed later into magazines and depots, where they are no free
        // pages.
        nint[] small = new nint[30_000];
        for (int i = 0; i < small.Length; i++) small[i] = (nint)NativeAllocator.Alloc(1);
        List<nint> taken = [];
        new FaultPlan(null, 0, andAllLater: true).Run(() =>
        {
            for (nuint bytes = Sizes.LargestPages; bytes >= 16; bytes /= 2)
                while (NativeAllocator.TryAlloc(bytes, out void* block)) taken.Add((nint)block);
            Assert.False(NativeAllocator.TryAlloc(1, out _));

            foreach (nint block in small) NativeAllocator.Free((void*)block);
            void* found = NativeAllocator.Alloc(4096);
            taken.Add((nint)found);
        });
        foreach (nint block in taken) NativeAllocator.Free((void*)block);
    }
}
