using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>Nobody frees areas meanwhile: no other test runs, and the decay's thread frees none of a user's.</summary>
public sealed unsafe class AreaDensityTests
{
    private const nuint AreaBytes = 16 << 20;

    private static bool IsLearning => Options.HugePages && !Options.AlwaysHugePages;

    [Fact]
    public void Freed_areas_that_were_written_throughout_let_the_next_ones_have_huge_pages()
    {
        if (!IsLearning || !ResidentMemory.ComesInSystemPages) return;
        AreaDensity.Credit = 0;
        Free(everyBytes: VirtualMemory.PageBytes);
        Assert.Equal(2 * AreaBytes, AreaDensity.Credit);
        Assert.True(AreaDensity.WantsHuge(AreaBytes));
    }

    [Fact]
    public void A_freed_area_that_was_written_here_and_there_ends_that()
    {
        if (!IsLearning || !ResidentMemory.ComesInSystemPages) return;
        AreaDensity.Credit = 2 * AreaBytes;
        Free(everyBytes: AreaBytes / 4);
        Assert.Equal(0u, AreaDensity.Credit);
        Assert.False(AreaDensity.WantsHuge(AreaBytes));
    }

    [Fact]
    public void Small_areas_get_none_and_very_large_ones_always_do()
    {
        if (!IsLearning) return;
        AreaDensity.Credit = nuint.MaxValue;
        Assert.False(AreaDensity.WantsHuge(AreaDensity.SmallestBytes - 1));
        Assert.True(AreaDensity.WantsHuge(AreaDensity.SmallestBytes));
        AreaDensity.NoteAdvised(nuint.MaxValue);
        Assert.False(AreaDensity.WantsHuge(AreaDensity.SureBytes - 1));
        Assert.True(AreaDensity.WantsHuge(AreaDensity.SureBytes));
    }

    // A new area without huge pages, of fresh memory.
    private static void Free(nuint everyBytes)
    {
        nuint credit = AreaDensity.Credit;
        AreaDensity.Credit = 0;
        byte* area = (byte*)Areas.Alloc(AreaBytes, 1, out _, MemoryChoice.FreshOnly);
        AreaDensity.Credit = credit;
        for (nuint at = 0; at < AreaBytes; at += everyBytes) area[at] = 1;
        Areas.TryFree(area);
    }
}
