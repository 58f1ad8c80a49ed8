using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>
/// Memory straight from the kernel, for everything the measurement itself needs: none of it may pass through the
/// allocators it measures. All of it is resident from the start, so it weighs on no pass and is part of the baseline.
/// </summary>
internal static unsafe partial class MappedPages
{
    private const int ProtRead = 1;
    private const int ProtWrite = 2;
    private const int MapPrivate = 0x02;
    private const int MapAnonymous = 0x20;
    private const int MapPopulate = 0x8000;
    private const int MemCommitReserve = 0x3000, PageReadWrite = 4; // of Windows

    /// <summary>Zeroed memory that lives as long as the process.</summary>
    public static void* Allocate(nuint length) =>
        Map(length, ProtRead | ProtWrite, MapPrivate | MapAnonymous | MapPopulate, -1);

    /// <summary>A whole file, read-only, as long as the process lives.</summary>
    public static byte* OfFile(string path, out long length)
    {
        using SafeFileHandle file = File.OpenHandle(path);
        length = RandomAccess.GetLength(file);
        if (OperatingSystem.IsWindows())
        {
            byte* copy = (byte*)Allocate((nuint)length);
            RandomAccess.Read(file, new Span<byte>(copy, checked((int)length)), 0);
            return copy;
        }
        return (byte*)Map((nuint)length, ProtRead, MapPrivate | MapPopulate, (int)file.DangerousGetHandle());
    }

    private static void* Map(nuint length, int protection, int flags, int file)
    {
        if (OperatingSystem.IsWindows())
        {
            void* committed = VirtualAlloc(null, length, MemCommitReserve, PageReadWrite);
            if (committed == null)
                throw new Win32Exception(Marshal.GetLastPInvokeError(), $"mapping {length} bytes failed");
            new Span<byte>(committed, checked((int)length)).Clear(); // which makes it resident
            return committed;
        }
        void* pages = MMap(null, length, protection, flags, file, 0);
        return (nint)pages != -1
            ? pages
            : throw new Win32Exception(Marshal.GetLastPInvokeError(), $"mapping {length} bytes failed");
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* MMap(void* address, nuint length, int protection, int flags, int file, nint offset);

    [LibraryImport("kernel32", SetLastError = true)]
    private static partial void* VirtualAlloc(void* address, nuint length, int type, int protection);
}
