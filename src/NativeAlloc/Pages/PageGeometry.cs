using System.Numerics;

namespace NativeAlloc.Pages;

/// <summary>How large pages, blocks and sections are.</summary>
internal static class PageGeometry
{
    internal const int PageShift = 16;
    internal const nuint PageBytes = 1 << PageShift;

    /// <summary>Orders 0..10: blocks of 64 KiB to 64 MiB.</summary>
    internal const int MaxOrder = 10;

    internal const int OrderCount = MaxOrder + 1;

    /// <summary>A section is one block of the top order, so that no block ever spans two.</summary>
    internal const uint SectionPages = 1u << MaxOrder;

    internal const nuint SectionBytes = SectionPages * PageBytes;

    /// <summary>The smallest order whose blocks hold so many pages.</summary>
    internal static int OrderOf(uint pages) => pages <= 1 ? 0 : BitOperations.Log2(pages - 1) + 1;
}
