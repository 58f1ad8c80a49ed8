using NativeAlloc.Mapping;

namespace NativeAlloc.High;

/// <summary>
/// Maps of high pages: areas of the vmalloc space that show pages which somebody else holds, in any order, side by side
/// (the kernel's <c>vmap</c>). Made by <see cref="PageMapBuilder"/>, taken down here.
/// </summary>
internal static unsafe class PageMaps
{
    /// <summary>Takes down the map that begins at an address; false, and nothing done, where there is none.</summary>
    internal static bool TryUnmap(void* address)
    {
        VmallocArea* area = VmallocSpace.Starting(address);
        if (area == null || area->Kind != AreaKind.Map || !area->TryTakeLive()) return false;
        if (area->Kind != AreaKind.Map || VmallocSpace.AddressOf(area) != (nuint)address)
        {
            // Another thread has taken the map down meanwhile, and the record is another area's.
            area->SetState(AreaState.Live);
            return false;
        }
        Teardown.RetryRefused();
        Teardown.Destroy(area);
        return true;
    }
}
