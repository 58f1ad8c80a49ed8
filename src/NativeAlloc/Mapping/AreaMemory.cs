using System.Diagnostics;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Mapping;

/// <summary>
/// The memory behind areas: gathered in pieces from where there is some and mapped side by side
/// (<c>__vmalloc_area_node</c>, <c>map_vm_area</c>).
/// </summary>
/// <remarks>Only for the thread that has made the area busy.</remarks>
internal static unsafe class AreaMemory
{
    /// <summary>Any thread, by Volatile; only tests change it.</summary>
    private static uint s_buddysPages = 1024;

    /// <summary>
    /// So many free pages that have memory stay with the buddy as long as there is fresh memory, 64 MiB: slabs will
    /// need them, and what is asked for here may never be used to its end.
    /// </summary>
    internal static uint BuddysPages
    {
        get => Volatile.Read(ref s_buddysPages);
        set => Volatile.Write(ref s_buddysPages, value);
    }

    /// <summary>
    /// Puts memory behind a part of an area that has none, up to its end. What is behind <paramref name="to"/> is room:
    /// it can be touched, and is not charged. False where there is not enough memory, and then the part has none still.
    /// </summary>
    /// <param name="from">All before it is charged.</param>
    /// <param name="to">So far the memory must come. Where there is none for the room, the area ends here.</param>
    /// <param name="zeroed">The part is to read as zero.</param>
    /// <param name="refusal">Why there is not enough.</param>
    /// <remarks>
    /// Fresh memory comes first: what kept areas and free pages have would have to be moved, and a move stops every
    /// processor that runs the process.
    /// </remarks>
    internal static bool TryFill(
        VmallocArea* area, nuint from, nuint to, MemoryChoice choice, bool zeroed, out Refusal refusal)
    {
        refusal = Refusal.ResidentLimit(to - from);
        if (to - from > ResidentBudget.LimitBytes) return false; // nothing is gathered in vain: it would be lost
        if (TryAddFresh(area, from, to, out refusal)) return true;
        // No room, then: the system may have just enough without it.
        if (to != area->SizeBytes)
        {
            VmallocSpace.Shorten(area, (uint)(to >> PageGeometry.PageShift));
            if (TryAddFresh(area, from, to, out refusal)) return true;
        }
        if (choice == MemoryChoice.FreshOnly || !Platform.MovesMemory) return false;
        nuint at = Gather(area, from, to, VirtualMemory.HugePageBytes);
        if (!TryAddFresh(area, at, to, out refusal))
        {
            at = Gather(area, at, to, PageGeometry.PageBytes);
            if (!TryAddFresh(area, at, to, out refusal))
            {
                // What is missing may be mappings: all in one piece needs the fewest.
                TakeAway(area, from, at);
                return TryAddFresh(area, from, to, out refusal);
            }
        }
        if (zeroed) Clear(area, from, at);
        return true;
    }

    /// <summary>
    /// Makes an area's used part longer where it stands. False where that fails, and then it is as long as before; no
    /// refusal says that there is no hole behind it, or no record of its runs.
    /// </summary>
    /// <param name="area">The area.</param>
    /// <param name="pages">How long.</param>
    /// <param name="wantedPages">If the area itself has to become longer: so long, if the hole allows.</param>
    /// <param name="choice">Whether memory is gathered where the system gives none.</param>
    /// <param name="refusal">Why there is not enough memory.</param>
    internal static bool TryUse(
        VmallocArea* area, uint pages, uint wantedPages, MemoryChoice choice, out Refusal refusal)
    {
        nuint bytes = (nuint)pages << PageGeometry.PageShift;
        nuint within = Math.Min(bytes, area->SizeBytes);
        nuint more = within > area->ChargedBytes ? within - area->ChargedBytes : 0;
        refusal = Refusal.ResidentLimit(more);
        if (!TryCharge(area, more)) return false;
        if (more != 0 && !VirtualMemory.TryCommitToUse(VmallocSpace.AddressOf(area) + (within - more), more))
        {
            GiveUp(area, within - more);
            refusal = Refusal.OutOfMemory;
            return false;
        }
        if (bytes <= area->SizeBytes || TryLengthen(area, pages, wantedPages, choice, out refusal))
        {
            area->UsedPages = pages;
            AdviseHuge(area, within - more, within);
            return true;
        }
        GiveUp(area, within - more);
        return false;
    }

    // Takes back the charge of a part that was not touched yet. What is committed where that is charged, all or a part,
    // goes back with it; where the system refuses, both stay, as the area's tail.
    private static void GiveUp(VmallocArea* area, nuint from)
    {
        if (Platform.ChargesCommit) Teardown.PurgeFrom(area, from);
        else Uncharge(area, area->ChargedBytes - from);
    }

    private static bool TryLengthen(
        VmallocArea* area, uint pages, uint wantedPages, MemoryChoice choice, out Refusal refusal)
    {
        refusal = default;
        uint oldPages = area->Pages;
        nuint oldBytes = area->SizeBytes;
        if (!AreaRuns.TryBegin(area, oldBytes, out refusal) || !VmallocSpace.TryExtend(area, pages, wantedPages))
            return false;
        nuint bytes = (nuint)pages << PageGeometry.PageShift;
        if (TryFill(area, oldBytes, bytes, choice, zeroed: false, out refusal)) return true;
        // What the system refused to unmap stays accessible, without memory, until the next area there is unmapped: a
        // record to try again by would need memory, of which there is none just now.
        VmallocSpace.Shorten(area, oldPages);
        return false;
    }

    /// <summary>Charges an area with more, behind what it is charged with already.</summary>
    internal static bool TryCharge(VmallocArea* area, nuint bytes)
    {
        if (bytes == 0) return true;
        if (!ResidentBudget.TryCharge(bytes)) return false;
        area->ChargedBytes += bytes;
        area->IsDense = false;
        return true;
    }

    private static void Uncharge(VmallocArea* area, nuint bytes)
    {
        if (bytes == 0) return;
        area->ChargedBytes -= bytes;
        ResidentBudget.Release(bytes);
    }

    private static void TakeAway(VmallocArea* area, nuint from, nuint to)
    {
        Teardown.TryUnmap(area, from, to, out bool hasMemory);
        if (hasMemory)
        {
            // The area ends before it from now on, so that none is charged with it. The next one there finds it zero.
            Clear(area, from, to);
            Teardown.Uncharge(area, from, to);
        }
        AreaRuns.CutBack(area, from);
    }

    /// <summary>
    /// Makes the first bytes of an area read as zero: what may have been touched of them is cleared, or purged where it
    /// was written here and there.
    /// </summary>
    internal static void Clear(VmallocArea* area, nuint bytes)
    {
        nuint charged = area->ChargedBytes, touched = Math.Min(charged, bytes);
        if (area->IsDense || touched <= SparseClearing.LeastBytes) Clear(area, 0, touched);
        else area->IsDense = SparseClearing.Clear(VmallocSpace.AddressOf(area), touched, charged);
    }

    /// <summary>
    /// Moves the memory of an area, run by run, to the beginning of another that has nothing there. False where that
    /// fails, and then the area has all of its memory.
    /// </summary>
    internal static bool TryMoveRuns(VmallocArea* area, VmallocArea* target)
    {
        nuint source = VmallocSpace.AddressOf(area), destination = VmallocSpace.AddressOf(target), moved = 0;
        for (uint run = 0; run < AreaRuns.Count(area); run++)
        {
            nuint bytes = AreaRuns.BytesOf(area, run);
            if (!VirtualMemory.TryMove(source + moved, bytes, destination + moved))
            {
                MoveBack(area, destination, moved);
                return false;
            }
            moved += bytes;
        }
        return true;
    }

    // What was moved left committed addresses behind, so that a copy does where the system refuses to move it back.
    // They may be reserved only after that.
    private static void MoveBack(VmallocArea* area, nuint from, nuint moved)
    {
        nuint address = VmallocSpace.AddressOf(area);
        nuint bytes;
        for (nuint at = 0, run = 0; at != moved; at += bytes, run++)
        {
            bytes = AreaRuns.BytesOf(area, (uint)run);
            if (VirtualMemory.TryMove(from + at, bytes, address + at)) continue;
            VirtualMemory.TryCommit(address + at, bytes);
            Buffer.MemoryCopy((void*)(from + at), (void*)(address + at), bytes, bytes);
        }
    }

    /// <summary>
    /// Makes an area end behind so many pages, used or not. Where the system refuses, it keeps its length, but not the
    /// memory.
    /// </summary>
    internal static bool TryShorten(VmallocArea* area, uint pages)
    {
        if (pages == area->Pages) return true;
        nuint bytes = (nuint)pages << PageGeometry.PageShift;
        if (!Teardown.TryUnmap(area, bytes, area->SizeBytes)) return false;
        AreaRuns.CutBack(area, bytes);
        VmallocSpace.Shorten(area, pages);
        return true;
    }

    // Charges an area with memory that was moved there.
    private static void Charge(VmallocArea* area, nuint bytes)
    {
        area->ChargedBytes += bytes;
        area->IsDense = false;
        ResidentBudget.Charge(bytes);
    }

    // ── where memory comes from ──

    // From kept areas and free pages, in pieces of so many bytes at least; returns how far it came.
    private static nuint Gather(VmallocArea* area, nuint at, nuint to, nuint smallest)
    {
        at = GatherKept(area, at, to, smallest);
        return GatherFree(area, at, to, smallest);
    }

    private static nuint GatherKept(VmallocArea* area, nuint at, nuint to, nuint smallest)
    {
        while (to - at >= smallest)
        {
            VmallocArea* kept = KeptAreas.TakeFor((uint)((to - at) >> PageGeometry.PageShift));
            if (kept == null) break;
            // Pieces are whole huge pages where that is asked for, so that those stay whole.
            // What is not charged has no memory, and is not moved.
            nuint bytes = Math.Min(to - at, kept->ChargedBytes) & ~(smallest - 1), moved = 0;
            for (uint run = 0; run < AreaRuns.Count(kept) && moved != bytes; run++)
            {
                nuint piece = Math.Min(AreaRuns.BytesOf(kept, run), bytes - moved);
                if (!TryAddPiece(area, VmallocSpace.AddressOf(kept) + moved, piece, at, to)) break;
                moved += piece;
                at += piece;
                area->ChargedBytes += piece;
                area->IsDense = false;
                kept->ChargedBytes -= piece;
            }
            LeaveRest(kept, moved);
            if (moved == 0 || moved != bytes) break;
        }
        return at;
    }

    // What is left of a kept area is kept again, if it is one by itself.
    private static void LeaveRest(VmallocArea* kept, nuint moved)
    {
        bool rest = kept->ChargedBytes != 0 && moved % PageGeometry.PageBytes == 0;
        if (rest && moved != 0)
        {
            rest = Teardown.TryDecommit(kept, 0, moved)
                && VmallocSpace.TryCutFront(kept, (uint)(moved >> PageGeometry.PageShift));
            if (rest) AreaRuns.CutFront(kept, moved);
        }
        if (!rest || !KeptAreas.TryPut(kept)) Teardown.Destroy(kept);
    }

    // Free pages of the buddy, the largest runs first. Their frames go back at once, as clean ones.
    private static nuint GatherFree(VmallocArea* area, nuint at, nuint to, nuint smallest)
    {
        int order = PageGeometry.OrderOf((uint)(smallest >> PageGeometry.PageShift));
        uint reserve = order == 0 ? 0 : BuddysPages;
        for (int largest = PageGeometry.MaxOrder; largest >= order;)
        {
            nuint bytes = PageGeometry.PageBytes << largest;
            if (to - at < bytes || PageLayer.DirtyFreePages() < reserve + (1u << largest)
                || !TryTakeUsed(largest, out uint page))
            {
                largest--;
                continue;
            }
            bool moved = TryAddPiece(area, LinearRegion.AddressOf(page), bytes, at, to);
            PageLayer.GivePages(page, 1u << largest, clean: moved);
            if (!moved) break;
            Charge(area, bytes);
            at += bytes;
        }
        return at;
    }

    // Of any migrate type: only the memory behind the pages is taken, and the pages themselves go back at once.
    private static bool TryTakeUsed(int order, out uint page)
    {
        page = PageFrame.None;
        for (int type = Pageblock.TypeCount - 1; type >= 0; type--)
        {
            PageRequest request = PageRequest.Block(order) with
            {
                State = PageState.Withheld,
                Choice = MemoryChoice.UsedOnly,
                Type = (MigrateType)type,
            };
            if (PageLayer.TryTake(null, request, out page, out _)) return true;
        }
        return false;
    }

    private static bool TryAddPiece(VmallocArea* area, nuint source, nuint bytes, nuint at, nuint to)
    {
        if (!AreaRuns.TryAdd(area, bytes, isWhole: at == 0 && bytes == area->SizeBytes)) return false;
        if (VirtualMemory.TryMove(source, bytes, VmallocSpace.AddressOf(area) + at)) return true;
        AreaRuns.CutBack(area, at);
        return false;
    }

    private static bool TryAddFresh(VmallocArea* area, nuint at, nuint to, out Refusal refusal)
    {
        refusal = default;
        if (at == to) return true;
        nuint end = area->SizeBytes; // with the room
        if (!AreaRuns.TryAdd(area, end - at, isWhole: at == 0, out refusal)) return false;
        refusal = Refusal.OutOfMemory;
        nuint address = VmallocSpace.AddressOf(area);
        if (!ResidentBudget.TryCharge(to - at))
        {
            AreaRuns.CutBack(area, at);
            refusal = Refusal.ResidentLimit(to - at);
            return false;
        }
        // The room is committed when it is used, where that is charged.
        if (!VirtualMemory.TryCommit(address + at, (Platform.ChargesCommit ? to : end) - at))
        {
            Teardown.TryDecommit(area, at, end); // the system may have done a part of it
            ResidentBudget.Release(to - at);
            AreaRuns.CutBack(area, at);
            refusal = Refusal.OutOfMemory;
            return false;
        }
        refusal = default;
        area->ChargedBytes += to - at;
        area->IsDense = false;
        AdviseHuge(area, at, to);
        return true;
    }

    // Asks for huge pages in a part that comes into use, where the area is large enough for them. It asks for whole
    // runs, with their room: a run that is asked for in part is two mappings to the system, which cannot be moved as
    // one. The last huge page may end in the room. It is charged up to there, also where a run was asked for before.
    private static void AdviseHuge(VmallocArea* area, nuint from, nuint to)
    {
        bool isWanted = from != to && !Platform.ChargesCommit && AreaDensity.WantsHuge(to);
        if (!isWanted && !area->Huge) return;
        nuint begin = from & ~(VirtualMemory.HugePageBytes - 1);
        nuint end = (to + (VirtualMemory.HugePageBytes - 1)) & ~(VirtualMemory.HugePageBytes - 1);
        if (end > area->SizeBytes) end -= VirtualMemory.HugePageBytes; // no whole one fits
        if (begin >= end || (end > area->ChargedBytes && !TryCharge(area, end - area->ChargedBytes))) return;
        if (!isWanted) return;
        (nuint first, nuint last) = AreaRuns.Around(area, from, to);
        if (!VirtualMemory.TryAdviseHuge(VmallocSpace.AddressOf(area) + first, last - first)) return;
        area->Huge = true;
        AreaDensity.NoteAdvised(end - begin);
    }

    private static void Clear(VmallocArea* area, nuint from, nuint to) =>
        Clearing.Clear((void*)(VmallocSpace.AddressOf(area) + from), to - from);
}
