using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// Maps of high pages: areas of the vmalloc space that show pages which somebody else holds, in any order, side by side (the kernel's <c>vmap</c>). Made by <see cref="PageMapBuilder"/>, taken down here.
/// </summary>
/// <remarks>
/// A map is counted in the <see cref="MappingBudget"/> as one mapping for each of its runs and one for the addresses behind it. Taking one down cannot fail for its owner: an area that the system
/// does not unmap, as it may where the process has as many mappings as it can, is nobody's from then on, stays counted, and is tried again when the next map is made or taken down.
/// </remarks>
internal static unsafe class PageMaps
{
    private static NativeLock s_lock;

    /// <summary>The first of the areas that the system did not unmap, busy and linked by <see cref="VmallocArea.Runs"/>; 0 for none. Under the lock.</summary>
    private static nint s_refused;

    /// <summary>Mappings that a map is counted as.</summary>
    internal static int MappingsOf(uint runs) => (int)runs + 1;

    /// <summary>Takes down the map that begins at an address; false, and nothing done, where there is none.</summary>
    internal static bool TryUnmap(void* address)
    {
        VmallocArea* area = VmallocSpace.Starting(address);
        if (area == null || area->Kind != AreaKind.Map || !area->TryChange(AreaState.Live, AreaState.Busy)) return false;
        if (area->Kind != AreaKind.Map || VmallocSpace.AddressOf(area) != (nuint)address) // another thread has taken it down meanwhile, and somebody has the record
        {
            area->SetState(AreaState.Live);
            return false;
        }
        RetryRefused();
        TakeDown(area);
        return true;
    }

    /// <summary>Unmaps a busy area and takes it out of the space, now or later.</summary>
    internal static void TakeDown(VmallocArea* area)
    {
        if (VirtualMemory.TryUnmapFile(VmallocSpace.AddressOf(area), (nuint)area->Pages << LinearRegion.PageShift)) Remove(area);
        else Refuse(area);
    }

    /// <summary>Tries the areas again that the system did not unmap.</summary>
    internal static void RetryRefused()
    {
        if (Volatile.Read(ref s_refused) == 0) return;
        s_lock.Acquire();
        nint next = s_refused;
        Volatile.Write(ref s_refused, 0);
        s_lock.Release();
        while (next != 0)
        {
            VmallocArea* area = (VmallocArea*)next;
            next = area->Runs;
            area->Runs = 0;
            TakeDown(area);
        }
    }

    private static void Remove(VmallocArea* area)
    {
        int mappings = MappingsOf(area->RunCount);
        VmallocSpace.Remove(area);
        MappingBudget.Give(mappings);
    }

    private static void Refuse(VmallocArea* area)
    {
        s_lock.Acquire();
        area->Runs = s_refused;
        Volatile.Write(ref s_refused, (nint)area);
        s_lock.Release();
    }
}
