using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.High;

/// <summary>
/// Makes a map of high pages, run by run: a <b>run</b> is pages that are neighbours in the memory file, which one call
/// maps. Begin, then add all runs, then end; where one is refused, abandon, and nothing is left.
/// </summary>
internal unsafe ref struct PageMapBuilder
{
    private VmallocArea* _area;

    /// <summary>Pages and runs that are mapped.</summary>
    private uint _pages, _runs;

    /// <summary>
    /// Gets an area. False, and nothing done, where there are no addresses or the mappings would be too many.
    /// </summary>
    internal bool TryBegin(uint pages, uint runs)
    {
        Teardown.RetryRefused();
        VmallocArea* area = VmallocSpace.Add(AreaKind.Map, pages);
        // What is kept for later has addresses, too.
        if (area == null && KeptAreas.TryReleaseAll()) area = VmallocSpace.Add(AreaKind.Map, pages);
        if (area == null) return false;
        if (!KeptAreas.TryTakeMappings((int)runs + area->OwnMappings))
        {
            VmallocSpace.Remove(area);
            return false;
        }
        area->RunCount = runs;
        _area = area;
        return true;
    }

    /// <summary>
    /// Maps the next run behind the others. False where the system refuses, or where it is more than was asked for.
    /// </summary>
    internal bool TryAdd(uint page, uint count)
    {
        nuint address = VmallocSpace.AddressOf(_area) + ((nuint)_pages << PageGeometry.PageShift);
        if (count > _area->Pages - _pages || _runs == _area->RunCount || !MappablePages.TryMap(page, count, address))
            return false;
        _pages += count;
        _runs++;
        return true;
    }

    /// <summary>The map is the caller's.</summary>
    internal readonly void* End()
    {
        _area->SetState(AreaState.Live);
        return (void*)VmallocSpace.AddressOf(_area);
    }

    /// <summary>Takes down what was made so far.</summary>
    internal readonly void Abandon() => Teardown.Destroy(_area);
}
