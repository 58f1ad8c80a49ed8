using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Tests.Os;

/// <summary>What the system itself says about the memory behind this process's addresses.</summary>
internal static unsafe partial class ResidentMemory
{
    /// <summary>System pages of a range that have memory behind them.</summary>
    internal static uint PagesAt(nuint address, nuint bytes)
    {
        byte[] pages = new byte[bytes / VirtualMemory.PageBytes];
        fixed (byte* first = pages)
            if (MInCore(address, bytes, first) != 0) throw new InvalidOperationException("the range is not mapped");
        return (uint)pages.Count(page => (page & 1) != 0);
    }

    [LibraryImport("libc", EntryPoint = "mincore")]
    private static partial int MInCore(nuint address, nuint bytes, byte* pages);
}
