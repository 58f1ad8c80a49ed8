using System.Diagnostics;

namespace NativeAlloc.Pages;

/// <content>
/// Sections that are free as a whole and have no memory: they can leave the zone, to be inaccessible, and come back.
/// </content>
internal unsafe partial struct Zone
{
    /// <summary>Whether the zone has any section, also if that is offline.</summary>
    internal readonly bool HasSections => OnlinePages != 0 || Volatile.Read(in _offline.Count) != 0;

    /// <summary>Adds a section that has just been brought online, or a part of one.</summary>
    internal void AddSection(
        uint firstPage, MigrateType type = MigrateType.Unmovable, uint pages = PageGeometry.SectionPages)
    {
        Volatile.Write(ref _onlinePages, _onlinePages + pages);
        LinearRegion.SetType(firstPage, pages, type);
        FreeRange(firstPage, pages);
    }

    /// <summary>Takes a section out that is free and clean as a whole; false where there is none.</summary>
    internal bool TryTakeSection(out uint firstPage)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        for (int type = 0; type < Pageblock.TypeCount; type++)
        {
            firstPage = Area((MigrateType)type, PageGeometry.MaxOrder)->Last; // clean blocks stand last
            if (firstPage == PageFrame.None || Frames[firstPage].Dirty) continue;
            RemoveFree(firstPage, PageGeometry.MaxOrder);
            Frames[firstPage].SetState(PageState.Withheld);
            Volatile.Write(ref _onlinePages, _onlinePages - PageGeometry.SectionPages);
            return true;
        }
        firstPage = PageFrame.None;
        return false;
    }

    /// <summary>Keeps a section that is inaccessible now.</summary>
    internal void AddOffline(uint firstPage)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        Frames[firstPage].SetState(PageState.Offline);
        _offline.AddFirst(Frames, firstPage);
    }

    /// <summary>Takes a section out that is inaccessible; false where there is none.</summary>
    internal bool TryTakeOffline(out uint firstPage)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        firstPage = _offline.First;
        if (firstPage == PageFrame.None) return false;
        _offline.Remove(Frames, firstPage);
        return true;
    }

    /// <summary>
    /// Takes the next free block without memory out; false where there is none.
    /// </summary>
    /// <param name="at">Where to look from; where to go on afterwards.</param>
    /// <param name="end">Where to end: no block reaches beyond it.</param>
    /// <param name="page">The block.</param>
    /// <param name="order">Its order.</param>
    internal bool TryTakeClean(ref uint at, uint end, out uint page, out int order)
    {
        Debug.Assert(Lock.IsHeld, "the zone's lock is held");
        while (at < end)
        {
            page = at;
            bool isFree = Frames[page].GetState() == PageState.Free;
            order = isFree ? Frames[page].Order : 0;
            at += 1u << order;
            if (!isFree || Frames[page].Dirty) continue;
            RemoveFree(page, order);
            Frames[page].SetState(PageState.Withheld);
            return true;
        }
        (page, order) = (PageFrame.None, 0);
        return false;
    }
}
