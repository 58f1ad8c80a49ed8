namespace NativeAlloc.Pages;

/// <summary>What a taker of memory would like to have: some that was used before, or fresh from the system.</summary>
internal enum MemoryChoice
{
    /// <summary>
    /// Used memory, even out of a larger block than necessary: resident memory grows only when there is none.
    /// </summary>
    UsedFirst,

    /// <summary>Used memory or nothing.</summary>
    UsedOnly,

    /// <summary>
    /// Fresh memory while there is some: for what will touch little of it, while others may need used memory now.
    /// </summary>
    FreshFirst,

    /// <summary>Fresh memory or nothing.</summary>
    FreshOnly,
}
