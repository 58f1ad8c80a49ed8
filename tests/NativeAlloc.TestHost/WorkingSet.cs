using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>What Windows says of the memory behind addresses of this process.</summary>
internal static unsafe partial class WorkingSet
{
    /// <summary>System pages of a range that are in memory.</summary>
    internal static uint PagesAt(nuint address, nuint bytes)
    {
        const nint ThisProcess = -1;
        nuint pageBytes = (nuint)Environment.SystemPageSize;
        Page[] pages = new Page[bytes / pageBytes];
        for (int i = 0; i < pages.Length; i++) pages[i].Address = address + (nuint)i * pageBytes;
        fixed (Page* first = pages)
        {
            if (Query(ThisProcess, first, (uint)(pages.Length * sizeof(Page))) == 0)
                throw new InvalidOperationException($"The system does not say what is behind 0x{address:x}.");
        }
        return (uint)pages.Count(page => (page.Attributes & 1) != 0);
    }

    /// <summary>PSAPI_WORKING_SET_EX_INFORMATION. Bit 0 of the attributes: the page is valid.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Page
    {
        public nuint Address;
        public nuint Attributes;
    }

    [LibraryImport("kernel32", EntryPoint = "K32QueryWorkingSetEx")]
    private static partial int Query(nint process, Page* pages, uint bytes);
}
