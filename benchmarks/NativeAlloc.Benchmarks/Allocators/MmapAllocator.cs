using System.ComponentModel;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// The kernel itself: a mapping for every block, which goes when the block does. It serves whole pages and large blocks
/// only: smaller ones would soon be more mappings than a process may have.
/// </summary>
internal readonly unsafe partial struct MmapAllocator : IAllocator
{
    private const int ProtRead = 1;
    private const int ProtWrite = 2;
    private const int MapPrivate = 0x02;
    private const int MapAnonymous = 0x20;
    private const int MayMove = 1;

    public static void* AllocPages(int order) => AllocLarge(IAllocator.BytesOf(order));

    public static void FreePages(void* block, int order) => FreeLarge(block, IAllocator.BytesOf(order));

    public static void* AllocLarge(nuint size) =>
        Checked(MMap(null, size, ProtRead | ProtWrite, MapPrivate | MapAnonymous, -1, 0), "mmap");

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) =>
        Checked(MRemap(block, oldSize, size, MayMove), "mremap");

    public static void FreeLarge(void* block, nuint size)
    {
        if (MUnmap(block, size) != 0)
            throw Failure("munmap");
    }

    public static void* Alloc(nuint size) => throw WholePagesOnly();

    public static void* AllocZeroed(nuint size) => throw WholePagesOnly();

    public static void* AlignedAlloc(nuint size, nuint alignment) => throw WholePagesOnly();

    public static void* Realloc(void* block, nuint size) => throw WholePagesOnly();

    public static void Free(void* block) => throw WholePagesOnly();

    public static void AlignedFree(void* block) => throw WholePagesOnly();

    private static NotSupportedException WholePagesOnly() => new("mmap serves whole pages only");

    private static void* Checked(void* block, string call) => (nint)block != -1 ? block : throw Failure(call);

    private static Win32Exception Failure(string call) => new(Marshal.GetLastPInvokeError(), $"{call} failed");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* MMap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int MUnmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "mremap", SetLastError = true)]
    private static partial void* MRemap(void* address, nuint oldLength, nuint length, int flags);
}
