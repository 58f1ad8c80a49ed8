using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// The base of test classes each of whose tests leaves no area behind, no mapping counted, and nothing live. A test
/// begins with nothing kept.
/// </summary>
public abstract unsafe class AreaCheckedTests : IDisposable
{
    private readonly LeakCheck _leaks;
    private readonly int _areas, _mappings;
    private readonly uint _buddysPages = AreaMemory.BuddysPages;

    protected AreaCheckedTests()
    {
        // The tables reach as far as the tests' areas do: a test that has commits fail means those of areas.
        Areas.TryFree(Alloc(256 * Sizes.MiB));
        NativeAllocator.Trim();
        AreaMemory.BuddysPages = 0;
        // Kept areas go when the process is charged with more than ever before: not in these tests.
        ResidentBudget.Charge(2048 * Sizes.MiB);
        ResidentBudget.Release(2048 * Sizes.MiB);
        MemorySignals.ReadAndReset(MemorySignals.NewPeak);
        _leaks = new LeakCheck();
        _areas = VmallocSpace.Count;
        _mappings = Rest.Mappings;
    }

    internal const nuint Page = Sizes.KiB * 64;

    public void Dispose()
    {
        AreaMemory.BuddysPages = _buddysPages;
        ShouldBeAsBefore();
        _leaks.Finish(); // a failure of the test itself is reported beside this one
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Gives back what is kept and fails the test if there are more areas or mappings than at its beginning, or fewer.
    /// </summary>
    internal void ShouldBeAsBefore()
    {
        NativeAllocator.Trim();
        Assert.Equal((0, _areas, _mappings), (KeptAreas.Count, VmallocSpace.Count, Rest.Mappings));
        VmallocSpace.Verify();
    }

    /// <summary>Areas of users, as <see cref="Areas"/> makes them.</summary>
    internal static void* Alloc(nuint bytes, nuint alignment = 1, MemoryChoice choice = MemoryChoice.UsedFirst,
        bool zeroed = false)
    {
        void* block = Areas.Alloc(bytes, alignment, out Refusal refusal, choice, zeroed);
        Assert.True(block != null, $"there is no memory for an area: {refusal.Reason}");
        return block;
    }

    /// <summary>The area that begins at an address.</summary>
    internal static VmallocArea* AreaOf(void* block)
    {
        VmallocArea* area = VmallocSpace.Starting(block);
        Assert.True(area != null, "no area begins there");
        return area;
    }

    /// <summary>
    /// An area that nothing is mapped in, busy, with its two mappings counted: what the layer's own members work on.
    /// </summary>
    internal static VmallocArea* AddBusy(uint pages)
    {
        Assert.True(MappingBudget.TryTake(2));
        VmallocArea* area = VmallocSpace.Add(AreaKind.Vmalloc, pages);
        Assert.True(area != null, "there is no hole for an area");
        return area;
    }

    /// <summary>The same, charged with all of its memory.</summary>
    internal static VmallocArea* AddCharged(uint pages)
    {
        VmallocArea* area = AddBusy(pages);
        Assert.True(AreaMemory.TryCharge(area, pages * Page));
        return area;
    }
}
