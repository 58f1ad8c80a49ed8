using System.ComponentModel;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// The kernel itself: a mapping for every block, which goes when the block does. It serves whole pages only: smaller
/// blocks would soon be more mappings than a process may have.
/// </summary>
internal readonly unsafe partial struct MmapAllocator : IAllocator
{
    private const int ProtRead = 1;
    private const int ProtWrite = 2;
    private const int MapPrivate = 0x02;
    private const int MapAnonymous = 0x20;

    public static void* AllocPages(int order)
    {
        void* block = MMap(null, IAllocator.BytesOf(order), ProtRead | ProtWrite, MapPrivate | MapAnonymous, -1, 0);
        return (nint)block != -1 ? block : throw new Win32Exception(Marshal.GetLastPInvokeError(), "mmap failed");
    }

    public static void FreePages(void* block, int order)
    {
        if (MUnmap(block, IAllocator.BytesOf(order)) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "munmap failed");
    }

    public static void* Alloc(nuint size) => throw WholePagesOnly();

    public static void* AllocZeroed(nuint size) => throw WholePagesOnly();

    public static void* AlignedAlloc(nuint size, nuint alignment) => throw WholePagesOnly();

    public static void* Realloc(void* block, nuint size) => throw WholePagesOnly();

    public static void Free(void* block) => throw WholePagesOnly();

    public static void AlignedFree(void* block) => throw WholePagesOnly();

    private static NotSupportedException WholePagesOnly() => new("mmap serves whole pages only");

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* MMap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int MUnmap(void* address, nuint length);
}
