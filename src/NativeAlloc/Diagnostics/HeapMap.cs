using System.Text.Json;
using NativeAlloc.Mapping;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>What a page of the map is used for. The page that is drawn has a colour for each.</summary>
internal enum MapKind : byte
{
    Offline,
    Free,
    FreeDirty,
    Hot,
    Slab,
    Large,
    Block,
    Taken,
}

/// <summary>
/// What each page of the linear region holds at one moment, in cells: a cell is one page, or several of a large heap.
/// No lock is taken: a page that changes meanwhile is drawn as before or as after.
/// </summary>
internal sealed unsafe class HeapMap
{
    // What a page of HTML draws at once, and a file of some hundred KiB.
    private const int MostCells = 1 << 18;

    private readonly byte[] _kinds, _used;

    private HeapMap(int cells, int pagesPerCell)
    {
        PagesPerCell = pagesPerCell;
        (_kinds, _used) = (new byte[cells], new byte[cells]);
    }

    internal int PagesPerCell { get; }

    /// <summary>By cell, a <see cref="MapKind"/>: that of most of its pages.</summary>
    internal ReadOnlySpan<byte> Kinds => _kinds;

    /// <summary>By cell, how much of it users hold, in percent.</summary>
    internal ReadOnlySpan<byte> Used => _used;

    internal static HeapMap Read()
    {
        uint pages = LinearRegion.OnlinePages;
        int perCell = 1;
        while (pages / perCell > MostCells) perCell *= 2;
        HeapMap map = new((int)((pages + perCell - 1) / perCell), perCell);
        Span<int> counts = stackalloc int[Enum.GetValues<MapKind>().Length];
        uint page = 0, blockEnd = 0;
        (MapKind Kind, int Used) now = default;
        for (int cell = 0; cell < map._kinds.Length; cell++)
        {
            counts.Clear();
            long used = 0;
            uint end = (uint)Math.Min(pages, (cell + 1L) * perCell);
            uint first = page;
            for (; page < end; page++)
            {
                if (page >= blockEnd || LinearRegion.Frames[page].GetState() != PageState.Inner)
                    now = Describe(page, out blockEnd);
                counts[(int)now.Kind]++;
                used += now.Used;
            }
            map._kinds[cell] = (byte)counts.IndexOf(Max(counts));
            map._used[cell] = (byte)(used / Math.Max(1, end - first));
        }
        return map;
    }

    /// <summary>Writes the areas: address, pages, what they are.</summary>
    internal static void WriteAreas(Utf8JsonWriter json)
    {
        json.WriteStartArray();
        for (uint page = 0; VmallocSpace.TryNext(page, out VmallocArea area); page = area.FirstPage + area.Pages)
        {
            json.WriteStartObject();
            json.WriteString("address", $"0x{VmallocSpace.AddressOf(&area):x}");
            json.WriteNumber("pages", area.UsedPages);
            json.WriteString("kind", area.GetState() == AreaState.Kept ? "kept"
                : area.Kind == AreaKind.Map ? "map" : area.Huge ? "area, huge pages" : "area");
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static int Max(ReadOnlySpan<int> counts)
    {
        int most = 0;
        foreach (int count in counts) most = Math.Max(most, count);
        return most;
    }

    // What the block is whose head a page is, and where it ends.
    private static (MapKind Kind, int Used) Describe(uint page, out uint end)
    {
        PageFrame* frame = LinearRegion.Frames + page;
        int order = Math.Min((int)frame->Order, PageAllocator.MaxOrder);
        end = page + (1u << order);
        switch (frame->GetState())
        {
            case PageState.Free or PageState.Withheld:
                return (frame->Dirty ? MapKind.FreeDirty : MapKind.Free, 0);
            case PageState.Hot:
                end = page + 1;
                return (MapKind.Hot, 0);
            case PageState.Slab:
                return (MapKind.Slab, UsedOf(frame));
            case PageState.Large:
                end = page + Math.Max(1, frame->PageCount);
                return (MapKind.Large, 100);
            case PageState.Block:
                return (MapKind.Block, 100);
            case PageState.Taken:
                return (MapKind.Taken, 100);
            default:
                end = page + 1;
                return (MapKind.Offline, 0);
        }
    }

    private static int UsedOf(PageFrame* frame)
    {
        int index = frame->Cache;
        if (!CacheTable.Exists(index)) return 0;
        uint objects = CacheTable.CacheAt(index)->ObjectsPerSlab;
        return objects == 0 ? 0 : (int)((objects - Math.Min(objects, frame->FreeObjects)) * 100 / objects);
    }
}
