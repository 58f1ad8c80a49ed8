using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process on a system that this library has no class for, as a switch makes believe. The first call of each public
/// member throws what says so, and not that a type could not be made. Arguments: the calls to make, by name, in this
/// order.
/// </summary>
internal static unsafe class UnsupportedCalls
{
    internal const string Name = "unsupported-system";

    /// <summary>The calls. None of them can be reached on such a system but as the first.</summary>
    internal static readonly (string Name, Action Call)[] Calls =
    [
        ("Alloc", () => NativeAllocator.Alloc(100)),
        ("Alloc, large", () => NativeAllocator.Alloc(100_000_000)),
        ("Alloc<T>", () => NativeAllocator.Alloc<long>(3)),
        ("AllocZeroed", () => NativeAllocator.AllocZeroed(5000)),
        ("AlignedAlloc", () => NativeAllocator.AlignedAlloc(100, 4096)),
        ("Realloc", () => NativeAllocator.Realloc((void*)0x10000, 100)),
        ("Realloc of null", () => NativeAllocator.Realloc(null, 100)),
        ("AlignedRealloc", () => NativeAllocator.AlignedRealloc((void*)0x10000, 100, 64)),
        ("Free", () => NativeAllocator.Free((void*)0x10000)),
        ("UsableSize", () => NativeAllocator.UsableSize((void*)0x10000)),
        ("Owns", () => NativeAllocator.Owns((void*)0x10000)),
        ("Trim", () => NativeAllocator.Trim()),
        ("Check", NativeAllocator.Check),
        ("ReleaseThreadCache", NativeAllocator.ReleaseThreadCache),
        ("GetStatistics", () => NativeAllocator.GetStatistics()),
        ("Configure", () => NativeAllocator.Configure(new NativeAllocatorOptions())),
        ("AllocPage", () => PageAllocator.AllocPage()),
        ("AllocPages", () => PageAllocator.AllocPages(3, PageFlags.High)),
        ("AllocPagesNode", () => PageAllocator.AllocPagesNode(0, 0)),
        ("GetFreePage", () => PageAllocator.GetFreePage()),
        ("GetDmaPages", () => PageAllocator.GetDmaPages(0)),
        ("AllocExact", () => PageAllocator.AllocExact(100_000)),
        ("FreePage", () => PageAllocator.FreePage((void*)0x10000)),
        ("FreeExact", () => PageAllocator.FreeExact((void*)0x10000, 100)),
        ("PageOf", () => PageAllocator.PageOf((void*)0x10000)),
        ("RegisterShrinker", () => PageAllocator.RegisterShrinker(static _ => 0)),
        ("Vmalloc.Alloc", () => Vmalloc.Alloc(100)),
        ("Vmalloc.Realloc", () => Vmalloc.Realloc((void*)0x10000, 100)),
        ("Vmalloc.Free", () => Vmalloc.Free((void*)0x10000)),
        ("Vmalloc.Map", () => Vmalloc.Map([default])),
        ("Vmalloc.Unmap", () => Vmalloc.Unmap((void*)0x10000)),
        ("SlabCache", () => new SlabCache("objects", 64).Dispose()),
        ("SlabCache<T>", () => new SlabCache<long>("objects").Dispose()),
        ("NativeArena", () => new NativeArena().Dispose()),
        ("MirroredBuffer", () => new MirroredBuffer(1).Dispose()),
        ("PersistentMap.Map", () => PersistentMap.Map(default)),
        ("FixedMap.AddressOf", () => FixedMap.AddressOf(0)),
        ("FixedMap.Clear", () => FixedMap.Clear(0)),
        ("HGlobal", () => HGlobal.AllocHGlobal(100)),
        ("WriteBuddyInfo", () => AllocatorReport.WriteBuddyInfo(TextWriter.Null)),
        ("WritePageTypeInfo", () => AllocatorReport.WritePageTypeInfo(TextWriter.Null)),
        ("WriteSlabInfo", () => AllocatorReport.WriteSlabInfo(TextWriter.Null)),
        ("WriteVmallocInfo", () => AllocatorReport.WriteVmallocInfo(TextWriter.Null)),
        ("WriteJson", () => AllocatorReport.WriteJson(Stream.Null)),
    ];

    internal static int Run(string[] args)
    {
        AppContext.SetSwitch(Platform.UnsupportedSwitch, true);
        foreach (string name in args)
        {
            try
            {
                Calls.First(call => call.Name == name).Call();
                Console.Error.WriteLine($"{name} did not throw");
                return 1;
            }
            catch (PlatformNotSupportedException)
            {
                // As it should be, also after other calls.
            }
            catch (Exception error)
            {
                Console.Error.WriteLine($"{name} threw {error}");
                return 1;
            }
        }
        NativeAllocator.Free(null);
        void* block = null;
        bool any = NativeAllocator.TryAlloc(100, out _) || NativeAllocator.TryAllocZeroed(5000, out _)
            || NativeAllocator.TryAlignedAlloc(100, 4096, out _) || NativeAllocator.TryRealloc(ref block, 100);
        if (any) return 1;
        Console.WriteLine("ok");
        return 0;
    }
}
