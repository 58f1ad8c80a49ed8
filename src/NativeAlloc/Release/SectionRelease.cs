using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Release;

/// <summary>
/// Takes sections offline that are free and clean as a whole, once no thread reads any more what lay in them.
/// </summary>
internal static class SectionRelease
{
    private const int MostAtOnce = 64;

    /// <summary>Takes all such sections offline. A later call takes those of which a thread still reads.</summary>
    internal static void TakeSectionsOffline()
    {
        Span<uint> sections = stackalloc uint[MostAtOnce];
        int count;
        do count = PageLayer.TakeFreeSections(sections);
        while (PageLayer.TryTakeOffline(sections[..count], count != 0 && MagazineReads.TryAwait())
            && count == MostAtOnce);
    }
}
