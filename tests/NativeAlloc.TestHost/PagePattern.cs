namespace NativeAlloc.TestHost;

/// <summary>
/// The <see cref="Pattern"/> of a block of pages: of a small block in every byte; of a larger one at both ends of each
/// whole page, which tells as well whose the page is and costs a fraction.
/// </summary>
internal static unsafe class PagePattern
{
    /// <summary>Most bytes of a block that is filled as a whole.</summary>
    internal const nuint FilledBytes = 1 << 20;

    private const nuint PageBytes = PageAllocator.PageSize, EndBytes = 256;

    internal static void Fill(void* block, nuint bytes, ulong id)
    {
        if (bytes <= FilledBytes)
        {
            Pattern.Fill(block, bytes, id);
            return;
        }
        for (nuint page = 0; page + PageBytes <= bytes; page += PageBytes)
        {
            Pattern.Fill((byte*)block + page, EndBytes, IdOf(id, page));
            Pattern.Fill((byte*)block + page + PageBytes - EndBytes, EndBytes, ~IdOf(id, page));
        }
    }

    /// <summary>Throws if a byte of the pattern was changed.</summary>
    internal static void Check(void* block, nuint bytes, ulong id)
    {
        if (bytes <= FilledBytes)
        {
            Pattern.Check(block, bytes, id);
            return;
        }
        CheckPages(block, bytes, id);
    }

    /// <summary>The same for what is left of a larger block: as many whole pages as the bytes hold.</summary>
    internal static void CheckPages(void* block, nuint bytes, ulong id)
    {
        for (nuint page = 0; page + PageBytes <= bytes; page += PageBytes)
        {
            Pattern.Check((byte*)block + page, EndBytes, IdOf(id, page));
            Pattern.Check((byte*)block + page + PageBytes - EndBytes, EndBytes, ~IdOf(id, page));
        }
    }

    private static ulong IdOf(ulong id, nuint offset) => unchecked(id * 1_000_003 + offset / PageBytes);
}
