using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.TestHost;

/// <summary>
/// A window onto high pages, which have no address of their own: as long as it is open they can be read and written.
/// </summary>
internal sealed unsafe class HighWindow : IDisposable
{
    private readonly nuint _address, _bytes;

    internal HighWindow(Page page, nuint bytes)
    {
        if (!HighRegion.Contains(page.Index)) throw new ArgumentException($"{page} is not a high page.", nameof(page));
        if (!VirtualMemory.TryReserveForFiles(bytes, bytes, PageGeometry.PageBytes, out _address))
            throw new InvalidOperationException("There are no addresses for a window.");
        _bytes = bytes;
        if (!VirtualMemory.TryMapFile(HighRegion.File, HighRegion.OffsetOf(page.Index), _address, bytes))
            throw new InvalidOperationException($"{page} cannot be mapped.");
    }

    internal void* Address => (void*)_address;

    public void Dispose() => VirtualMemory.Release(_address, _bytes);
}
