namespace NativeAlloc.Os;

/// <summary>What the heap of the process's C library has at one moment, in bytes.</summary>
/// <param name="SystemBytes">What it has of the system but for single mappings.</param>
/// <param name="MappedBytes">Blocks that have a mapping of their own.</param>
/// <param name="MappedBlocks">How many these are.</param>
/// <param name="FreeBytes">What it has and no block is in, with memory behind it or not.</param>
/// <param name="Arenas">Parts with a lock of their own, which threads are spread over.</param>
internal readonly record struct NativeHeapInfo(
    ulong SystemBytes, ulong MappedBytes, long MappedBlocks, ulong FreeBytes, int Arenas);
