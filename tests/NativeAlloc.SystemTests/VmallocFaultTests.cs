using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Mapping;
using Xunit;

namespace NativeAlloc.SystemTests;

/// <summary>
/// Proves that any system call may fail while <c>Vmalloc</c> is at work: each call ends as documented, no block is
/// harmed, and afterwards no area, no memory and no mapping is lost. The first call of a kind is made to fail, then the
/// second, and so on; each alone, and each with all that follow.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class VmallocFaultTests : AreaCheckedTests
{
    private const string Any = "any";

    /// <summary>The kinds of call that areas are made of, and both ways of failing.</summary>
    public static MatrixTheoryData<string, bool> Faults =>
        new([Any, nameof(OsCall.Commit), nameof(OsCall.Move), nameof(OsCall.Decommit), nameof(OsCall.Purge),
            nameof(OsCall.AdviseHuge)], [false, true]);

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_system_call_that_fails_does_no_harm(string kindName, bool andAllLater)
    {
        OsCall? kind = kindName == Any ? null : Enum.Parse<OsCall>(kindName);
        (int calls, int failures) = FaultRuns.FailEach(kind, andAllLater, _ => new Scenario(), ShouldBeAsBefore);
        Assert.True(calls > 0, $"the scenario makes no {kindName}");
        if (kind == OsCall.Commit && andAllLater) Assert.True(failures > 0, "no step felt it");
        // there is always another way
        if (kind is OsCall.Move or OsCall.Decommit or OsCall.AdviseHuge) Assert.Equal(0, failures);
    }

    /// <summary>
    /// Areas from every source, grown and made smaller where they stand and elsewhere, freed into and taken from what
    /// is kept.
    /// </summary>
    private sealed class Scenario : FaultScenario
    {
        private readonly SparseBlock?[] _blocks = new SparseBlock?[4];

        internal override void Run()
        {
            LeaveUsedPages(8 * Sizes.MiB);
            Allocate(0, 12 * Sizes.MiB);
            Allocate(1, 3 * Page, zeroed: true);
            Allocate(2, 20 * Sizes.MiB, zeroed: true);
            Resize(0, 40 * Sizes.MiB);
            Resize(1, 5 * Sizes.MiB);
            Resize(2, Sizes.MiB);
            Resize(0, 3 * Sizes.MiB);
            Free(1);
            LeaveUsedPages(300 * Sizes.KiB);
            Allocate(3, 4 * Sizes.MiB, zeroed: true); // a part of what is kept
            Allocate(1, 5 * Sizes.MiB, zeroed: true);
            for (nuint bytes = 6 * Sizes.MiB; bytes <= 96 * Sizes.MiB; bytes *= 2)
            {
                Resize(3, bytes);
                Resize(1, bytes + Page);
            }
            Free(3);
            NativeAllocator.Trim();
            Allocate(3, 96 * Sizes.MiB, zeroed: true);
            Resize(2, 33 * Page);
            Free(0);
            Allocate(0, 2 * Sizes.MiB, zeroed: true);
        }

        internal override void CheckAll()
        {
            foreach (SparseBlock? block in _blocks) block?.Check();
        }

        internal override void FreeAll()
        {
            for (int index = 0; index < _blocks.Length; index++) Free(index);
        }

        private void Allocate(int index, nuint bytes, bool zeroed = false) => Try(index, () =>
        {
            void* block = zeroed ? Vmalloc.AllocZeroed(bytes) : Vmalloc.Alloc(bytes);
            if (zeroed) SparseBlock.CheckZero(block, bytes);
            _blocks[index] = new SparseBlock(block, bytes, NextId() << 40);
        });

        private void Resize(int index, nuint bytes)
        {
            if (_blocks[index] is { } block)
                Try(index, () => block.Resized(Vmalloc.Realloc(block.Address, bytes), bytes));
        }

        private void Free(int index)
        {
            if (_blocks[index] is not { } block) return;
            block.Check();
            Vmalloc.Free(block.Address);
            _blocks[index] = null;
        }

        // Free pages of the buddy that hold something.
        private static void LeaveUsedPages(nuint bytes)
        {
            void* block = LargeBlocks.Alloc(bytes, 1, zeroed: false, out _);
            if (block == null) return;
            Pattern.Fill(block, bytes, 1);
            NativeAllocator.Free(block);
        }

        private void Try(int index, Action step)
        {
            if (!Try(step)) _blocks[index]?.Check();
            VmallocSpace.Verify();
        }
    }
}
