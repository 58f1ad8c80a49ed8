using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <content>
/// Memory files. A section of Windows cannot grow, and what is committed of it stays so until all of it goes. So a file
/// is a table of small sections, one for each <b>unit</b> of 64 KiB: made when the unit is first mapped, closed when it
/// is purged. The addresses that files are mapped over are units too, each a placeholder or a reservation of its own.
/// </content>
internal sealed unsafe partial class WindowsSystem
{
    /// <summary>What a unit of addresses is when it is no view: see <see cref="TakeUnit"/>.</summary>
    private const nuint PartOfLarger = 0, Reserved = 1, Taken = 2, Lost = 3, LargestMark = Lost;

    // 256 GiB of memory file, whose table is 64 MiB of addresses.
    private const nuint MostFileUnits = 1 << 22;

    // Without placeholders each unit is reserved by a call of its own.
    private const ulong MostFileShareBytes = 8UL << 30, MostFileShareWithoutPlaceholders = 128 << 20, FileShare = 8;

    // Fixed and persistent windows, maps of the vmalloc space, and what tests make.
    private const int MostRanges = 64;

    private readonly FileRange[] _ranges = GC.AllocateArray<FileRange>(MostRanges, pinned: true);

    internal override nuint FileShareOf(nuint bytes)
    {
        ulong most = _new.HasPlaceholders ? MostFileShareBytes : MostFileShareWithoutPlaceholders;
        return (nuint)Math.Min(bytes / FileShare, most) & ~(nuint)(FileUnitBytes - 1);
    }

    // ── addresses ──

    internal override bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address)
    {
        if (fileBytes == 0) return TryReserve(bytes, alignment, out address);
        for (int attempt = 0; attempt < Attempts && TryFindRange(bytes, alignment, out address); attempt++)
        {
            if (bytes != fileBytes && !TryReserveAt(address + fileBytes, bytes - fileBytes)) continue;
            nuint taken = TakeForFiles(address, fileBytes);
            if (taken == fileBytes && TryAddRange(address, fileBytes)) return true;
            // What was taken, and no more: the rest may be another thread's by now.
            nuint unitBytes = _new.HasPlaceholders ? fileBytes : FileUnitBytes;
            for (nuint at = 0; at < taken; at += unitBytes) Free(address + at);
            if (bytes != fileBytes) Free(address + fileBytes);
        }
        address = 0;
        return false;
    }

    // One placeholder, or units one by one; returns how much it got.
    private nuint TakeForFiles(nuint address, nuint bytes)
    {
        if (_new.HasPlaceholders) return _new.ReservePlaceholder(address, bytes) == address ? bytes : 0;
        nuint taken = 0;
        while (taken != bytes && TryReserveAt(address + taken, FileUnitBytes)) taken += FileUnitBytes;
        return taken;
    }

    private static bool TryReserveAt(nuint address, nuint bytes) =>
        WindowsCalls.VirtualAlloc(address, bytes, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess) == address;

    private bool TryAddRange(nuint address, nuint bytes)
    {
        nuint tableBytes = bytes / FileUnitBytes * (nuint)sizeof(nuint);
        nuint table = WindowsCalls.VirtualAlloc(0, tableBytes, WindowsCalls.MemReserve | WindowsCalls.MemCommit,
            WindowsCalls.PageReadWrite);
        if (table == 0) return false;
        for (int i = 0; i < MostRanges; i++)
        {
            ref FileRange range = ref _ranges[i];
            if (Interlocked.CompareExchange(ref range.IsUsed, 1, 0) != 0) continue;
            range.Bytes = bytes;
            range.Units = table;
            Volatile.Write(ref range.Address, address);
            return true;
        }
        WindowsCalls.VirtualFree(table, 0, WindowsCalls.MemRelease);
        return false;
    }

    // Gives the addresses of a range back, and the range; returns its bytes, 0 where none begins there.
    private nuint ReleaseRange(nuint address)
    {
        for (int i = 0; i < MostRanges; i++)
        {
            ref FileRange range = ref _ranges[i];
            if (address == 0 || Volatile.Read(ref range.Address) != address) continue;
            nuint bytes = range.Bytes;
            Volatile.Write(ref range.Address, 0);
            FreeUnits((nuint*)range.Units, address, bytes / FileUnitBytes);
            Free(range.Units);
            Volatile.Write(ref range.IsUsed, 0);
            return bytes;
        }
        return 0;
    }

    // Each unit that is still the range's. Of a placeholder, those side by side that were never split off are one, and
    // go by their first.
    private void FreeUnits(nuint* marks, nuint address, nuint count)
    {
        nuint before = Lost;
        for (nuint unit = 0; unit < count; unit++, address += FileUnitBytes)
        {
            nuint mark = TakeUnit(marks + unit);
            if (mark > LargestMark) mark = Unmap(address, (FileUnit*)mark);
            bool isWithBefore = mark == PartOfLarger && before == PartOfLarger && _new.HasPlaceholders;
            if (mark is PartOfLarger or Reserved && !isWithBefore) Free(address);
            before = mark;
            Volatile.Write(ref marks[unit], Lost);
        }
    }

    // The marks of the units that begin at an address; null where they are not within one range.
    private nuint* FindUnits(nuint address, nuint bytes)
    {
        for (int i = 0; i < MostRanges; i++)
        {
            ref FileRange range = ref _ranges[i];
            nuint first = Volatile.Read(ref range.Address), offset = unchecked(address - first);
            if (first == 0 || offset >= range.Bytes || bytes > range.Bytes - offset) continue;
            return (offset | bytes) % FileUnitBytes == 0 ? (nuint*)range.Units + offset / FileUnitBytes : null;
        }
        return null;
    }

    // ── files ──

    internal override bool TryCreateFile(nuint bytes, out nint file)
    {
        nuint tableBytes = MostFileUnits * (nuint)sizeof(FileUnit);
        nuint table = WindowsCalls.VirtualAlloc(0, tableBytes, WindowsCalls.MemReserve, WindowsCalls.PageNoAccess);
        file = table == 0 ? -1 : (nint)table;
        if (table == 0) return false;
        if (TryGrowFile(file, bytes)) return true;
        WindowsCalls.VirtualFree(table, 0, WindowsCalls.MemRelease);
        file = -1;
        return false;
    }

    // The commit of the units themselves comes with their sections.
    internal override bool TryGrowFile(nint file, nuint bytes)
    {
        nuint units = (bytes + (FileUnitBytes - 1)) / FileUnitBytes;
        return units < MostFileUnits && TryCommit((nuint)file, Math.Max(1, units) * (nuint)sizeof(FileUnit));
    }

    internal override bool TryPurgeFile(nint file, nuint offset, nuint bytes)
    {
        if (file == -1) return false;
        for (nuint at = offset; at < offset + bytes; at += FileUnitBytes)
        {
            FileUnit* unit = UnitOf(file, at);
            if (Volatile.Read(ref unit->Section) == 0) continue;
            if (Volatile.Read(ref unit->Views) != 0)
            {
                if (!TryClear(unit->Section)) return false;
                continue;
            }
            WindowsCalls.CloseHandle(Interlocked.Exchange(ref unit->Section, 0));
        }
        return true;
    }

    // A unit that is mapped somewhere keeps its memory.
    private static bool TryClear(nint section)
    {
        nuint view = WindowsCalls.MapViewOfFile(section, WindowsCalls.FileMapWriteRead, 0, 0, FileUnitBytes, 0);
        if (view == 0) return false;
        new Span<byte>((void*)view, FileUnitBytes).Clear();
        return WindowsCalls.UnmapViewOfFile(view) != 0;
    }

    internal override bool TryMapFile(nint file, nuint offset, nuint address, nuint bytes)
    {
        nuint* units = FindUnits(address, bytes);
        if (units == null || offset % FileUnitBytes != 0) return false;
        for (nuint done = 0; done < bytes; done += FileUnitBytes)
        {
            if (TryMapUnit(units + done / FileUnitBytes, address + done, UnitOf(file, offset + done))) continue;
            if (done != 0) TryUnmapFile(address, done);
            return false;
        }
        return true;
    }

    internal override bool TryUnmapFile(nuint address, nuint bytes)
    {
        nuint* units = FindUnits(address, bytes);
        if (units == null) return false;
        bool all = true;
        for (nuint done = 0; done < bytes; done += FileUnitBytes)
            all &= TryUnmapUnit(units + done / FileUnitBytes, address + done);
        return all;
    }

    // The table stays where a unit is still mapped: its views know it.
    internal override void CloseFile(nint file)
    {
        bool isMapped = false;
        WindowsCalls.MemoryInformation region;
        nuint known = (nuint)sizeof(WindowsCalls.MemoryInformation);
        if (WindowsCalls.VirtualQuery((nuint)file, &region, known) == 0) return;
        for (FileUnit* unit = (FileUnit*)file; unit < (FileUnit*)((nuint)file + region.RegionBytes); unit++)
        {
            isMapped |= Volatile.Read(ref unit->Views) != 0;
            nint section = Interlocked.Exchange(ref unit->Section, 0);
            if (section != 0) WindowsCalls.CloseHandle(section);
        }
        if (!isMapped) WindowsCalls.VirtualFree((nuint)file, 0, WindowsCalls.MemRelease);
    }

    private static FileUnit* UnitOf(nint file, nuint offset) => (FileUnit*)file + offset / FileUnitBytes;

    // ── one unit ──

    private bool TryMapUnit(nuint* mark, nuint address, FileUnit* unit)
    {
        nint section = Open(unit);
        if (section == 0) return false;
        nuint before = TakeUnit(mark);
        nuint free = before > LargestMark ? Unmap(address, (FileUnit*)before) : before;
        // It is not split where it is alone already, and where the system refuses.
        bool isSplit =
            free != PartOfLarger || !_new.HasPlaceholders || NewCalls.TrySplit(address, FileUnitBytes);
        nuint after = free == Lost ? Lost : Map(section, address, unit);
        bool mapped = after > LargestMark;
        if (after == Reserved && !isSplit) after = PartOfLarger;
        if (!mapped && before > LargestMark && after != Lost) // what was there comes back
            after = Map(((FileUnit*)before)->Section, address, (FileUnit*)before);
        Volatile.Write(ref *mark, after);
        return mapped;
    }

    private bool TryUnmapUnit(nuint* mark, nuint address)
    {
        nuint before = TakeUnit(mark);
        nuint after = before > LargestMark ? Unmap(address, (FileUnit*)before) : before;
        Volatile.Write(ref *mark, after);
        return after <= LargestMark;
    }

    // Returns the unit's new mark.
    private nuint Map(nint section, nuint address, FileUnit* unit)
    {
        bool mapped;
        if (_new.HasPlaceholders)
        {
            mapped = _new.TryMap(section, address, FileUnitBytes);
        }
        else
        {
            // Another thread may have the addresses in between: then they are lost to this range.
            WindowsCalls.VirtualFree(address, 0, WindowsCalls.MemRelease);
            mapped = WindowsCalls.MapViewOfFile(section, WindowsCalls.FileMapWriteRead, 0, 0, FileUnitBytes, address)
                == address;
            if (!mapped && !TryReserveAt(address, FileUnitBytes)) return Lost;
        }
        if (!mapped) return Reserved;
        Interlocked.Increment(ref unit->Views);
        return (nuint)unit;
    }

    private nuint Unmap(nuint address, FileUnit* unit)
    {
        bool hasPlaceholders = _new.HasPlaceholders;
        if (!(hasPlaceholders ? _new.TryUnmap(address) : WindowsCalls.UnmapViewOfFile(address) != 0))
            return (nuint)unit;
        Interlocked.Decrement(ref unit->Views);
        return hasPlaceholders || TryReserveAt(address, FileUnitBytes) ? Reserved : Lost;
    }

    // The section of a unit, made where there is none; 0 where the system has no commit for it.
    private static nint Open(FileUnit* unit)
    {
        nint section = Volatile.Read(ref unit->Section);
        if (section != 0) return section;
        nint own = WindowsCalls.CreateFileMapping(-1, null, WindowsCalls.PageReadWrite, 0, FileUnitBytes, null);
        if (own == 0) return 0;
        section = Interlocked.CompareExchange(ref unit->Section, own, 0);
        if (section == 0) return own;
        WindowsCalls.CloseHandle(own); // another thread was faster
        return section;
    }

    // Of two threads that change what is mapped at the same addresses one waits for the other.
    private static nuint TakeUnit(nuint* mark)
    {
        while (true)
        {
            nuint before = Volatile.Read(ref *mark);
            if (before != Taken && Interlocked.CompareExchange(ref *mark, Taken, before) == before) return before;
            Thread.Yield();
        }
    }

    /// <summary>A part of a memory file. Any thread.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct FileUnit
    {
        /// <summary>Handle of the section; 0 where there is none, and the unit reads as zero. By Interlocked.</summary>
        public nint Section;

        /// <summary>Units of addresses where it is mapped. By Interlocked.</summary>
        public long Views;
    }

    /// <summary>Addresses that files can be mapped over. Written by the thread that has made it used.</summary>
    private struct FileRange
    {
        /// <summary>1 where the slot is taken. By Interlocked.</summary>
        public int IsUsed;

        /// <summary>0 while the range is not to be found. Written last, read first.</summary>
        public nuint Address;

        public nuint Bytes;

        /// <summary>
        /// A word for each unit of addresses, by Interlocked: where it is mapped, the address of its
        /// <see cref="FileUnit"/>; else one of the marks.
        /// </summary>
        public nuint Units;
    }
}
