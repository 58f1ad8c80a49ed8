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
        new ManagedArm<NativeMemoryAllocator>("nativememory", "System.Runtime.InteropServices.NativeMemory"),
        new ManagedArm<HGlobalAllocator>("hglobal", "Marshal.AllocHGlobal and its family"),
        new ManagedArm<MimallocAllocator>("mimalloc", "mimalloc by function pointer", CLibrary.Mimalloc),
        new ManagedArm<JemallocAllocator>("jemalloc", "jemalloc by function pointer", CLibrary.Jemalloc),
        new ManagedArm<TcmallocAllocator>("tcmalloc", "tcmalloc by function pointer", CLibrary.Tcmalloc),
        new ManagedArm<MmapAllocator>("mmap", "mmap, mremap and munmap for every block, whole pages and large blocks only") { WholePagesOnly = true },
        new ManagedArm<ArrayPoolAllocator>("arraypool", "ArrayPool<byte>.Shared, managed arrays only") { ArraysOnly = true },
    ];

    public static IReadOnlyList<NativeArm> Native { get; } =
    [
        new NativeArm("c-glibc", "the C library's malloc, from C"),
        new NativeArm("c-mimalloc", "mimalloc, from C", CLibrary.Mimalloc),
        new NativeArm("c-jemalloc", "jemalloc, from C", CLibrary.Jemalloc),
        new NativeArm("c-tcmalloc", "tcmalloc, from C", CLibrary.Tcmalloc),
    ];

    public static IReadOnlyList<Arm> All { get; } = [.. Managed, .. Native];
}
