using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that a slab cache that was dropped without being disposed of is shown as that, and taken down once it has no
/// live objects.
/// </summary>
public sealed unsafe class DroppedCacheTests : LeakCheckedTests
{
    [Fact]
    public void It_is_marked_in_the_report_and_goes_when_its_last_object_is_freed()
    {
        void* left = null;
        Drop("dropped-one", ref left);
        MakeAnother();
        Assert.Contains("dropped-one(dropped)", Report(), StringComparison.Ordinal);
        NativeAllocator.Free(left);
        for (int i = 0; i < 100 && IsThere(); i++) MakeAnother(); // another thread may be on a slow path just then
        Assert.False(IsThere());

        static bool IsThere() => Report().Contains("dropped-one", StringComparison.Ordinal);
    }

    [Fact]
    public void More_can_be_dropped_than_there_can_be()
    {
        for (int i = 0; i < 300; i++)
        {
            void* left = null;
            Drop($"dropped-{i}", ref left, collect: i % 50 == 0);
            NativeAllocator.Free(left);
        }
        Collect();
        for (int i = 0; i < 100 && Report().Contains("(dropped)", StringComparison.Ordinal); i++) MakeAnother();
        Assert.DoesNotContain("(dropped)", Report(), StringComparison.Ordinal);
    }

    private static void Drop(string name, ref void* left, bool collect = true)
    {
        nint pointer = 0;
        TestThread.RunOnNew(() => // where no register or slot keeps it
        {
            SlabCache cache = new(name, 100);
            for (int i = 0; i < 500; i++) cache.Free(cache.Alloc());
            pointer = (nint)cache.Alloc();
        });
        left = (void*)pointer;
        if (collect) Collect();
    }

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
    }

    private static void MakeAnother()
    {
        using SlabCache another = new("another", 100);
    }

    private static string Report()
    {
        using StringWriter writer = new();
        AllocatorReport.WriteSlabInfo(writer);
        return writer.ToString();
    }
}
