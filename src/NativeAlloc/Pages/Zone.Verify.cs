namespace NativeAlloc.Pages;

/// <content>The check of a zone's lists and counters against its frames, for tests.</content>
internal unsafe partial struct Zone
{
    /// <summary>
    /// Walks every list and checks it against the frames and the counters. Throws where something is wrong; takes the
    /// lock.
    /// </summary>
    internal void Verify()
    {
        Lock.Acquire();
        string? error = FindError();
        Lock.Release();
        if (error != null) throw new InvalidOperationException(error);
    }

    private readonly string? FindError()
    {
        uint free = 0, dirty = 0;
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            for (int order = 0; order < PageGeometry.OrderCount; order++)
            {
                string? error = FindError((MigrateType)type, order, out uint count);
                if (error != null) return error;
                free += count << order;
                for (uint page = _areas[AreaIndex((MigrateType)type, order)].First; page != PageFrame.None;
                    page = Frames[page].Next) dirty += LinearRegion.Dirty.Count(page, 1u << order);
            }
        }
        for (uint page = _offline.First; page != PageFrame.None; page = Frames[page].Next)
            if (Frames[page].State != PageState.Offline || LinearRegion.Dirty.Any(page, PageGeometry.SectionPages))
                return $"the section at page {page} is offline and {Frames[page].State}, or has memory behind it";
        if (dirty != _dirtyFreePages)
            return $"the zone has {dirty} free pages with memory behind them and says {_dirtyFreePages}";
        if (_dirtyFreeLowWater.Least > dirty)
            return $"the zone has {dirty} dirty free pages and had at least {_dirtyFreeLowWater.Least}";
        return free == _freePages ? null : $"the zone has {free} free pages and says {_freePages}";
    }

    private readonly string? FindError(MigrateType type, int order, out uint count)
    {
        count = 0;
        uint previous = PageFrame.None;
        bool clean = false;
        FrameList area = _areas[AreaIndex(type, order)];
        for (uint page = area.First; page != PageFrame.None; previous = page, page = Frames[page].Next)
        {
            PageFrame frame = Frames[page];
            if (frame.State != PageState.Free)
                return $"page {page} is on the free list of order {order} and {frame.State}";
            if (frame.Order != order) return $"page {page} of order {frame.Order} is on the free list of order {order}";
            if (page % (1u << order) != 0) return $"free block at page {page} is not aligned to its order {order}";
            if (frame.Previous != previous) return $"page {page}'s link back is {frame.Previous}, not {previous}";
            for (uint inner = page + 1; inner < page + (1u << order); inner++)
                if (Frames[inner].State != PageState.Inner)
                    return $"page {inner} inside the free block at {page} is {Frames[inner].State}";
            for (uint inner = page; inner < page + (1u << order); inner += Pageblock.Pages)
                if (LinearRegion.TypeOf(inner) != type)
                    return $"page {inner} of a {LinearRegion.TypeOf(inner)} pageblock is on the free list of {type} " +
                        "pages";
            uint buddy = page ^ (1u << order);
            if (order < PageGeometry.MaxOrder && Frames[buddy].State == PageState.Free && Frames[buddy].Order == order)
                return $"pages {page} and {buddy} are free buddies of order {order} and not merged";
            bool dirty = LinearRegion.Dirty.Any(page, 1u << order);
            if (dirty != frame.Dirty) return $"the block at page {page} says dirty: {frame.Dirty}, and is: {dirty}";
            if (dirty && clean) return $"the dirty block at page {page} stands behind a clean one";
            clean |= !dirty;
            count++;
        }
        if (count != area.Count || previous != area.Last)
            return $"the free list of {type} pages of order {order} has {count} blocks and says {area.Count}";
        return (OrdersFrom(order, type) >> order & 1) == (count == 0 ? 0UL : 1UL)
            ? null
            : $"the zone is wrong on whether it has {type} blocks of order {order}";
    }
}
