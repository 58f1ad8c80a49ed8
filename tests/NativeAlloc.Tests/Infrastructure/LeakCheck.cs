using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Finds blocks that were left behind, or frees too many: between construction and <see cref="Finish"/> the live bytes
/// and blocks come back to where they were, and all layers are in order. Nobody else may use the allocator meanwhile.
/// </summary>
internal sealed class LeakCheck
{
    private readonly AllocatorStatistics _start = NativeAllocator.GetStatistics();

    /// <summary>Fails the test if something is left, or missing.</summary>
    internal void Finish()
    {
        AllocatorStatistics end = NativeAllocator.GetStatistics();
        Assert.Equal((_start.LiveBytes, _start.LiveBlocks), (end.LiveBytes, end.LiveBlocks));
        NativeAllocator.Verify();
    }
}
