using System.Globalization;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>Shows that no memory becomes resident that the program did not write.</summary>
public sealed class SparseGrowthTests
{
    [Theory]
    [InlineData(SparseBlocks.SlabBytes, 1)]
    [InlineData(SparseBlocks.AreaBytes, 1)]
    [InlineData(SparseBlocks.AreaBytes, 3)] // zeroed from the second time on
    [InlineData(SparseBlocks.HeapBytes, 3)] // one block
    public void A_large_heap_of_blocks_that_are_written_at_their_beginning_only_stays_small(int blockBytes, int rounds)
    {
        // Where every touch brings a huge page, that is the system's choice.
        if (!ResidentMemory.ComesInSystemPages) return;
        CultureInfo culture = CultureInfo.InvariantCulture;
        ChildProcess.RunHost(SparseBlocks.Name, blockBytes.ToString(culture), rounds.ToString(culture)).ShouldSucceed();
    }
}
