using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>AlignedAlloc</c> keeps any alignment that is a power of two, and refuses all others.
/// </summary>
public sealed unsafe class AlignedAllocTests : LeakCheckedTests
{
    private const int LargestAlignmentLog2 = 30;

    private static readonly nuint[] s_sizes =
    [
        0, 1, 24, 100, 128, 129, 1000, 4096, 20_000, Sizes.LargestMagazine, Sizes.LargestMagazine + 1, 100_000,
        Sizes.LargestSlab, Sizes.LargestSlab + 1, 3 * Sizes.MiB, Sizes.LargestPages, Sizes.LargestPages + 1,
        100 * Sizes.MiB,
    ];

    [Fact]
    public void Every_power_of_two_is_kept_with_every_size()
    {
        for (int log2 = 0; log2 <= LargestAlignmentLog2; log2++)
        {
            nuint alignment = (nuint)1 << log2;
            foreach (nuint bytes in s_sizes)
            {
                byte* block = (byte*)NativeAllocator.AlignedAlloc(bytes, alignment);
                Assert.Equal((nuint)0, (nuint)block % alignment);
                Assert.Equal((nuint)0, (nuint)block % 16);
                nuint usable = NativeAllocator.UsableSize(block);
                Assert.True(usable >= bytes, $"{bytes} bytes at a multiple of {alignment} have {usable} usable ones");
                if (usable != 0) block[0] = block[usable - 1] = 1;
                NativeAllocator.Free(block);
            }
        }
    }

    [Fact]
    public void Aligned_blocks_that_live_together_do_not_touch_each_other()
    {
        List<(nint Address, nuint Bytes)> blocks = [];
        for (int log2 = 0; log2 <= 24; log2++)
        {
            foreach (nuint bytes in s_sizes)
            {
                if (bytes > 4 * Sizes.MiB) continue;
                void* block = NativeAllocator.AlignedAlloc(bytes, (nuint)1 << log2);
                nuint usable = NativeAllocator.UsableSize(block);
                Pattern.Fill(block, usable, (ulong)blocks.Count);
                blocks.Add(((nint)block, usable));
            }
        }
        for (int i = 0; i < blocks.Count; i++) Pattern.Check((void*)blocks[i].Address, blocks[i].Bytes, (ulong)i);
        foreach ((nint address, _) in blocks) NativeAllocator.AlignedFree((void*)address);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(24)]
    [InlineData(4097)]
    [InlineData(-1)]
    public void An_alignment_that_is_no_power_of_two_is_an_argument_exception_that_names_it(long value)
    {
        nuint wrong = unchecked((nuint)value);
        foreach (nuint bytes in s_sizes)
        {
            ArgumentException error =
                Assert.Throws<ArgumentException>("alignment", () => { NativeAllocator.AlignedAlloc(bytes, wrong); });
            Assert.Contains(wrong.ToString(System.Globalization.CultureInfo.InvariantCulture), error.Message,
                StringComparison.Ordinal);
        }
        Assert.Throws<ArgumentException>("alignment", () => { NativeAllocator.AlignedRealloc(null, 100, wrong); });
    }
}
