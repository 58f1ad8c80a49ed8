using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// Calls that Windows has since version 10 1803: addresses with requirements, and <b>placeholders</b>, which are
/// reserved addresses that can be split and that a view of a section can take the place of. Absent where the system
/// does not export them or refuses a placeholder, as wine does.
/// </summary>
internal sealed unsafe class NewCalls
{
    private readonly delegate* unmanaged<nint, nuint, nuint, uint, uint, void*, uint, nuint> _allocate;
    private readonly delegate* unmanaged<nint, nint, nuint, ulong, nuint, uint, uint, void*, uint, nuint> _map;
    private readonly delegate* unmanaged<nint, nuint, uint, int> _unmap;

    internal NewCalls()
    {
        if (!NativeLibrary.TryLoad("kernelbase.dll", out nint library)) return;
        if (NativeLibrary.TryGetExport(library, "VirtualAlloc2", out nint allocate))
            _allocate = (delegate* unmanaged<nint, nuint, nuint, uint, uint, void*, uint, nuint>)allocate;
        if (NativeLibrary.TryGetExport(library, "MapViewOfFile3", out nint map))
            _map = (delegate* unmanaged<nint, nint, nuint, ulong, nuint, uint, uint, void*, uint, nuint>)map;
        if (NativeLibrary.TryGetExport(library, "UnmapViewOfFile2", out nint unmap))
            _unmap = (delegate* unmanaged<nint, nuint, uint, int>)unmap;
        HasPlaceholders = _allocate != null && _map != null && _unmap != null && CanReservePlaceholder();
    }

    internal bool HasPlaceholders { get; }

    /// <summary>Reserves addresses that end below a bound; 0 where there are none.</summary>
    internal nuint ReserveBelow(nuint end, nuint bytes)
    {
        if (_allocate == null) return 0;
        const nuint TypeAddressRequirements = 1;
        // MEM_ADDRESS_REQUIREMENTS: lowest address, last byte, alignment. MEM_EXTENDED_PARAMETER: type, value.
        nuint* requirements = stackalloc nuint[] { 0, end - 1, 0 };
        nuint* parameter = stackalloc nuint[] { TypeAddressRequirements, (nuint)requirements };
        return _allocate(WindowsCalls.ThisProcess, 0, bytes, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess,
            parameter, 1);
    }

    /// <summary>Reserves addresses as a placeholder; 0 where something else is there.</summary>
    internal nuint ReservePlaceholder(nuint address, nuint bytes) =>
        _allocate(WindowsCalls.ThisProcess, address, bytes,
            WindowsCalls.MemReserve | WindowsCalls.MemReservePlaceholder, WindowsCalls.PageNoAccess, null, 0);

    /// <summary>Makes a part of a placeholder one of its own.</summary>
    internal static bool TrySplit(nuint address, nuint bytes) =>
        WindowsCalls.VirtualFree(address, bytes, WindowsCalls.MemRelease | WindowsCalls.MemPreservePlaceholder) != 0;

    /// <summary>Maps a section in place of a whole placeholder.</summary>
    internal bool TryMap(nint section, nuint address, nuint bytes) =>
        _map(section, WindowsCalls.ThisProcess, address, 0, bytes, WindowsCalls.MemReplacePlaceholder,
            WindowsCalls.PageReadWrite, null, 0) == address;

    /// <summary>Puts a placeholder in place of a view.</summary>
    internal bool TryUnmap(nuint address) =>
        _unmap(WindowsCalls.ThisProcess, address, WindowsCalls.MemPreservePlaceholder) != 0;

    private bool CanReservePlaceholder()
    {
        nuint address = ReservePlaceholder(0, SystemContract.FileUnitBytes);
        return address != 0 && WindowsCalls.VirtualFree(address, 0, WindowsCalls.MemRelease) != 0;
    }
}
