using NativeAlloc.Os;

namespace NativeAlloc.Mapping;

/// <summary>
/// Takes areas down, or parts of them (<c>unmap_vm_area</c>). That cannot fail for the owner: an area that the system
/// does not unmap, as it may where the process has as many mappings as it can have, becomes
/// <see cref="AreaState.Stale"/>. It stays counted, and is tried again at the next opportunity.
/// </summary>
/// <remarks>Only for the thread that has made the area busy.</remarks>
internal static unsafe class Teardown
{
    private static NativeLock s_lock;

    /// <summary>
    /// Record of the first stale area, 0 for none; the others follow by <see cref="VmallocArea.NextStale"/>. Written
    /// under the lock, read by any thread.
    /// </summary>
    private static uint s_stale;

    /// <summary>Unmaps a busy area and gives its addresses back, now or later.</summary>
    /// <returns>Bytes that may have had memory behind them; 0 where the system refuses.</returns>
    internal static nuint Destroy(VmallocArea* area)
    {
        nuint bytes = area->SizeBytes, charged = area->ChargedBytes;
        int mappings = area->OwnMappings;
        bool unmapped = area->Kind == AreaKind.Map
            ? VirtualMemory.TryUnmapFile(VmallocSpace.AddressOf(area), bytes)
            : TryUnmap(area, 0, bytes);
        if (!unmapped)
        {
            Refuse(area);
            return 0;
        }
        AreaRuns.Free(area);
        VmallocSpace.Remove(area);
        MappingBudget.Give(mappings);
        return charged;
    }

    /// <summary>Tries the areas again that the system did not unmap.</summary>
    internal static void RetryRefused()
    {
        if (Volatile.Read(ref s_stale) == 0) return;
        s_lock.Acquire();
        uint next = s_stale;
        Volatile.Write(ref s_stale, 0);
        s_lock.Release();
        while (next != 0)
        {
            VmallocArea* area = VmallocSpace.At(next);
            next = area->NextStale;
            area->SetState(AreaState.Busy);
            Destroy(area);
        }
    }

    /// <summary>Takes memory and access away from a part of an area, and its charge.</summary>
    /// <returns>False where the system has no room for one more mapping. The part has lost its memory and its charge
    /// only, then; or, where the system does not take the memory either, nothing.</returns>
    internal static bool TryUnmap(VmallocArea* area, nuint from, nuint to) => TryUnmap(area, from, to, out _);

    /// <param name="hasMemory">The part is as it was, charge and all.</param>
    internal static bool TryUnmap(VmallocArea* area, nuint from, nuint to, out bool hasMemory)
    {
        bool unmapped = TryDecommit(area, from, to, out hasMemory);
        if (!hasMemory) Uncharge(area, from, to);
        return unmapped;
    }

    /// <summary>Gives the memory back that an area has from some byte on. The area stays as long as it is.</summary>
    /// <returns>The bytes; 0 where the system refuses.</returns>
    internal static nuint PurgeFrom(VmallocArea* area, nuint from)
    {
        nuint bytes = area->ChargedBytes > from ? area->ChargedBytes - from : 0;
        if (bytes == 0 || !VirtualMemory.TryPurge(VmallocSpace.AddressOf(area) + from, bytes)) return 0;
        Uncharge(area, from, area->ChargedBytes);
        return bytes;
    }

    /// <summary>Takes the charge of a part away, whose end is the end of what is charged.</summary>
    internal static void Uncharge(VmallocArea* area, nuint from, nuint to)
    {
        nuint end = Math.Min(area->ChargedBytes, to);
        nuint charged = end > from ? end - from : 0;
        area->ChargedBytes -= charged;
        ResidentBudget.Release(charged);
        SystemCounters.CountPurged(charged);
    }

    /// <summary>Takes memory and access away, and leaves the charge.</summary>
    internal static bool TryDecommit(VmallocArea* area, nuint from, nuint to) => TryDecommit(area, from, to, out _);

    private static bool TryDecommit(VmallocArea* area, nuint from, nuint to, out bool hasMemory)
    {
        nuint address = VmallocSpace.AddressOf(area) + from;
        hasMemory = false;
        if (from == to || VirtualMemory.TryDecommit(address, to - from)) return true;
        hasMemory = !VirtualMemory.TryPurge(address, to - from);
        return false;
    }

    private static void Refuse(VmallocArea* area)
    {
        area->SetState(AreaState.Stale);
        s_lock.Acquire();
        area->NextStale = s_stale;
        Volatile.Write(ref s_stale, VmallocSpace.NumberOf(area));
        s_lock.Release();
    }
}
