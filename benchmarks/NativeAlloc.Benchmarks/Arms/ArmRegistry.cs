using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>All arms there are, in the order in which they are shown.</summary>
internal static class ArmRegistry
{
    /// <summary>What the others are compared with, if it takes part.</summary>
    public const string Reference = "nativealloc";

    public static IReadOnlyList<ManagedArm> Managed { get; } =
    [
        new ManagedArm<NativeAllocAllocator>(Reference, "NativeAllocator, this library"),
        new ManagedArm<NativeAllocAllocator>("nativealloc-nopurge", "NativeAllocator with purge switched off")
        {
            OnRequest = true,
            Environment = [LibraryEnvironment.NoPurge],
        },
        new ManagedArm<NativeAllocAllocator>("nativealloc-guard", "NativeAllocator with guard sampling, one in 4000")
        {
            OnRequest = true,
            Environment = [LibraryEnvironment.Guard],
        },
        new ManagedArm<NativeAllocAllocator>("nativealloc-check", "NativeAllocator in check mode")
        {
            OnRequest = true,
            Environment = [LibraryEnvironment.Check],
        },
        new ManagedArm<NativeAllocAllocator>("nativealloc-profiled", "NativeAllocator with its profiler on")
        {
            OnRequest = true,
            Prepare = static () => AllocationProfiler.Start(),
        },
        new ManagedArm<NativeMemoryAllocator>("nativememory", "System.Runtime.InteropServices.NativeMemory"),
        new ManagedArm<HGlobalAllocator>("hglobal", "Marshal.AllocHGlobal and its family"),
        Of<MimallocLibrary>(),
        Of<Mimalloc3Library>(),
        Of<JemallocLibrary>(),
        Of<TcmallocLibrary>(),
        new ManagedArm<MmapAllocator>("mmap", "a mapping for every block, whole pages and large blocks only")
        {
            WholePagesOnly = true,
        },
        new ManagedArm<ArrayPoolAllocator>("arraypool",
            "ArrayPool<byte>.Shared, managed arrays only") { ArraysOnly = true },
    ];

    public static IReadOnlyList<NativeArm> Native { get; } =
    [
        new NativeArm("c-glibc", "the C library's malloc, from C"),
        .. CLibrary.All.Select(library => new NativeArm($"c-{library.Name}", $"{library.Name}, from C", library)),
    ];

    public static IReadOnlyList<Arm> All { get; } = [.. Managed, .. Native];

    private static ManagedArm<CAllocator<TLibrary>> Of<TLibrary>()
        where TLibrary : struct, ICLibrary =>
        new(TLibrary.Library.Name, $"{TLibrary.Library.Name} by function pointer", TLibrary.Library);
}
