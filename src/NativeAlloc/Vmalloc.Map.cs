using System.Diagnostics.CodeAnalysis;
using NativeAlloc.Common;
using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <content>Pages that the user holds, at addresses side by side (<c>vmap</c>, <c>vunmap</c>).</content>
public static unsafe partial class Vmalloc
{
    /// <summary>
    /// Maps high pages side by side (<c>vmap</c>), in any order; a page may be there several times, and is then the
    /// same memory at each place.
    /// </summary>
    /// <remarks>
    /// The pages stay the caller's, who must not free them while they are mapped. The free does not notice it, and the
    /// map goes on showing their memory, which may belong to another user by then. Behind a map there is a page that
    /// cannot be touched. Pages that are neighbours, as those taken one after the other often are, cost one mapping of
    /// the system together. All others cost one each, and the library uses half of the mappings that the system allows
    /// (<c>vm.max_map_count</c>).
    /// </remarks>
    /// <param name="pages">High pages in use, at least one; of a block of several, the first.</param>
    /// <returns>Where the first page begins, each of 64 KiB. It goes back by <see cref="Unmap"/>.</returns>
    /// <exception cref="ArgumentException">There are no pages, or one is none, free, or not a high page; the message
    /// says which.</exception>
    /// <exception cref="OutOfMemoryException">There are no addresses, or the system refuses a mapping. Nothing has
    /// changed.</exception>
    public static void* Map(ReadOnlySpan<Page> pages)
    {
        Startup.Begin();
        if (pages.IsEmpty) ThrowHelper.ThrowNothingToMap(nameof(pages));
        uint runs = 0;
        for (int at = 0; at < pages.Length; at++)
        {
            CheckPage(pages[at], at, nameof(pages));
            if (at == 0 || pages[at].Index != pages[at - 1].Index + 1) runs++;
        }
        PageMapBuilder map = default;
        if (!map.TryBegin((uint)pages.Length, runs)) ThrowHelper.ThrowCannotMap((nuint)pages.Length);
        for (int at = 0; at < pages.Length;)
        {
            int first = at++;
            while (at < pages.Length && pages[at].Index == pages[at - 1].Index + 1) at++;
            if (map.TryAdd(pages[first].Index, (uint)(at - first))) continue;
            map.Abandon();
            ThrowHelper.ThrowCannotMap((nuint)pages.Length);
        }
        return map.End();
    }

    /// <summary>
    /// Takes a <see cref="Map"/> back (<c>vunmap</c>). The pages stay allocated, with what they hold.
    /// </summary>
    /// <param name="address">The address that it returned; null is fine.</param>
    /// <exception cref="ArgumentException">No map begins there: it lies inside one, or in memory of another kind, or
    /// was unmapped before; the message says which. Nothing is changed.</exception>
    public static void Unmap(void* address)
    {
        if (address == null) return;
        Startup.BeginWith(address);
        if (!PageMaps.TryUnmap(address)) ThrowNoMap(address);
    }

    private static void CheckPage(Page page, int at, string parameter)
    {
        if (page.IsNone) ThrowHelper.ThrowNoPageInMap(at, parameter);
        if (!HighRegion.Contains(page.Index)) ThrowHelper.ThrowNotHigh($"{page} ({parameter}[{at}])", parameter);
        if (!MappablePages.IsTaken(page.Index)) ThrowHelper.ThrowFreePageInMap(page.Index, at, parameter);
    }

    [DoesNotReturn]
    private static void ThrowNoMap(void* address)
    {
        if (VmallocSpace.TryFind(address, out VmallocArea area) && area.GetState() == AreaState.Live)
        {
            void* first = (void*)VmallocSpace.AddressOf(&area);
            if (area.Kind != AreaKind.Map) ThrowHelper.ThrowNotAMap(address, first);
            if (first != address) ThrowHelper.ThrowInsideMap(address, first, area.Pages);
        }
        ThrowHelper.ThrowNoMap(address);
    }
}
