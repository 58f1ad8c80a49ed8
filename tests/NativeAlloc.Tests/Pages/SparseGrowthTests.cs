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
    [InlineData(SparseBlocks.SlabBytes)]
    [InlineData(SparseBlocks.AreaBytes)]
    public void A_large_heap_of_blocks_that_are_written_at_their_beginning_only_stays_small(int blockBytes)
    {
        // Where every touch brings a huge page, that is the system's choice.
        if (!ResidentMemory.ComesInSystemPages) return;
        ChildProcess.RunHost(SparseBlocks.Name, blockBytes.ToString(CultureInfo.InvariantCulture)).ShouldSucceed();
    }
}
