using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.High;

/// <summary>
/// A range of addresses of its own for a fixed number of <b>windows</b>, each as large as a page, that high pages are
/// mapped into. It is reserved when it is first needed and stays for the life of the process. As no window is ever more
/// than one mapping of the system, all of them together are counted at once in the <see cref="MappingBudget"/>.
/// </summary>
internal struct WindowRange(int windows)
{
    private readonly int _windows = windows;

    /// <summary>The first window; 0 before the first use. Set once, by Interlocked; read by any thread.</summary>
    private nuint _address;

    /// <summary>
    /// The first window's address; false where the system has no addresses or the mappings would be too many. Then the
    /// next call tries again.
    /// </summary>
    internal bool TryReserve(out nuint address)
    {
        address = Volatile.Read(ref _address);
        if (address != 0) return true;
        if (!KeptAreas.TryTakeMappings(_windows)) return false;
        nuint bytes = (nuint)_windows << PageGeometry.PageShift;
        bool reserved = VirtualMemory.TryReserveForFiles(bytes, bytes, PageGeometry.PageBytes, out nuint own);
        nuint first = reserved ? Interlocked.CompareExchange(ref _address, own, 0) : 0;
        address = first != 0 ? first : own; // another thread's, if it was faster
        if (!reserved || first != 0) MappingBudget.Give(_windows);
        if (first != 0) VirtualMemory.Release(own, bytes);
        return reserved;
    }
}
