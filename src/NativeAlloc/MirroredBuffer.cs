using System.Numerics;
using NativeAlloc.Common;
using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc;

/// <summary>
/// A ring buffer without a seam: its pages are mapped twice, side by side, so that its end is followed by its
/// beginning, and any part of it, across the end too, is one span.
/// </summary>
/// <remarks>
/// <para>Memory and addresses are those of high pages (<see cref="PageFlags.High"/>) and of <see cref="Vmalloc.Map"/>.
/// A ring costs its length in memory and twice that in addresses, and two of the system's mappings for each run of
/// neighbouring pages that it is made of.</para>
/// <para>All members may be called from any thread; what is read and written where is for the users of the ring to
/// agree on. Spans and pointers into the ring do not keep it alive, so it has no finalizer, which would take the memory
/// away under them. A ring is given back by <see cref="Dispose"/> only, when nobody uses a part of it any more. One
/// that is never disposed of stays, and <see cref="AllocatorReport.WriteVmallocInfo"/> shows it as a map.</para>
/// </remarks>
public sealed unsafe class MirroredBuffer : IDisposable
{
    /// <summary>The blocks that the ring is made of, in its order: that of their pages.</summary>
    private readonly List<Block> _blocks = [];

    /// <summary>Where it is mapped; 0 before that and after dispose. By Interlocked and Volatile.</summary>
    private nint _address;

    /// <summary>Makes a ring of at least so many bytes. What it holds at first is undefined.</summary>
    /// <param name="minimumBytes">Bytes, rounded up to whole pages of 64 KiB, at least one.</param>
    /// <exception cref="OutOfMemoryException">There are not so many high pages, or no addresses or mappings for them.
    /// Nothing has changed.</exception>
    public MirroredBuffer(nuint minimumBytes)
    {
        Startup.Begin();
        Options.ThrowIfWrong();
        if (minimumBytes > VmallocSpace.Bytes / 2) ThrowHelper.ThrowOutOfMemory(minimumBytes);
        uint pages = LargeBlocks.PagesOf(minimumBytes);
        Length = (nuint)pages << PageGeometry.PageShift;
        ThrowIfNeverPossible(pages);
        bool mapped = false;
        try
        {
            TakePages(pages);
            mapped = TryMap(pages);
        }
        finally
        {
            if (!mapped) FreePages();
        }
        if (!mapped) ThrowHelper.ThrowCannotMap(2 * (nuint)pages);
    }

    /// <summary>Blocks of pages that the ring is made of; for tests.</summary>
    internal int BlockCount => _blocks.Count;

    /// <summary>Where the ring begins. <see cref="Length"/> bytes further on it begins again.</summary>
    /// <exception cref="ObjectDisposedException">The buffer is disposed of.</exception>
    public byte* Pointer
    {
        get
        {
            nint address = Volatile.Read(ref _address);
            ObjectDisposedException.ThrowIf(address == 0, this);
            return (byte*)address;
        }
    }

    /// <summary>Bytes of the ring, whole pages of 64 KiB.</summary>
    public nuint Length { get; }

    /// <summary>A part of the ring, in one piece also where it goes across the end.</summary>
    /// <param name="position">Where it begins: any number of bytes, counted around the ring as often as it takes. A
    /// counter that only ever grows will do.</param>
    /// <param name="length">Bytes, up to <see cref="Length"/>.</param>
    /// <returns>The bytes, as long as the buffer is not disposed of.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative, or larger than the ring.</exception>
    /// <exception cref="ObjectDisposedException">The buffer is disposed of.</exception>
    public Span<byte> GetSpan(nuint position, int length)
    {
        byte* pointer = Pointer;
        if (length < 0 || (nuint)length > Length) ThrowHelper.ThrowBadWindow(length, Length);
        return new Span<byte>(pointer + position % Length, length);
    }

    /// <summary>Unmaps the ring and frees its pages.</summary>
    public void Dispose()
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address == 0) return;
        PageMaps.TryUnmap((void*)address);
        FreePages();
    }

    // Nothing is gathered in vain: others would find no memory meanwhile.
    private void ThrowIfNeverPossible(uint pages)
    {
        if (pages > HighRegion.PageCount) ThrowHelper.ThrowTooFewHighPages(pages, HighRegion.PageCount);
        if (Length <= ResidentBudget.LimitBytes) return;
        ResidentBudget.RefreshLimit();
        nuint limit = ResidentBudget.LimitBytes;
        if (Length > limit) ThrowHelper.ThrowBeyondLimit(Length, limit, ResidentBudget.IsDerived);
    }

    // The largest blocks that there are. Where room was made at the limit in vain, it is made once more for the last
    // resort only, single pages.
    private void TakePages(uint pages)
    {
        bool canMakeRoom = true;
        for (int order = PageGeometry.MaxOrder; pages != 0;)
        {
            order = Math.Min(order, BitOperations.Log2(pages));
            _blocks.EnsureCapacity(_blocks.Count + 1); // no block is taken that there is no room to note
            if (!TryTakeBlock(order, ref canMakeRoom, out Page page))
            {
                order--;
                continue;
            }
            _blocks.Add(new Block(page, order));
            pages -= 1u << order;
        }
        // so that neighbours are mapped as one
        _blocks.Sort((one, other) => one.Page.Index.CompareTo(other.Page.Index));
    }

    // Single pages are worth a reclaim, and their failure is everybody's.
    private static bool TryTakeBlock(int order, ref bool canMakeRoom, out Page page)
    {
        page = order == 0 ? PageAllocator.AllocPage(PageFlags.High) : TakeBlock(order, ref canMakeRoom);
        if (page.IsNone) return false;
        if (page.Zone == PageZone.High) return true;
        PageAllocator.FreePages(page, order); // a normal one in its place: there is no high block of this order
        if (order == 0) ThrowNoHighPage();
        return false;
    }

    // None where there is no such block.
    private static Page TakeBlock(int order, ref bool canMakeRoom)
    {
        PageRequest request = PageRequest.Block(order) with { State = PageState.Block, Kind = ZoneKind.High };
        AllocationAttempt attempt = new(PageGeometry.PageBytes << order);
        uint index;
        while (!PageBlocks.TryTake(null, request, out index, out attempt.Refusal))
        {
            if (!attempt.Refusal.IsResidentLimit || !canMakeRoom) return default;
            canMakeRoom = attempt.TryMakeRoom();
        }
        return new Page(index);
    }

    private static void ThrowNoHighPage()
    {
        if (HighRegion.OnlinePages == HighRegion.PageCount) ThrowHelper.ThrowTooFewHighPages(1, HighRegion.PageCount);
        ThrowHelper.ThrowNoHighPages(HighRegion.File >= 0);
    }

    private bool TryMap(uint pages)
    {
        uint runs = 0;
        for (int at = 0; at < _blocks.Count; runs++) _ = TakeRun(ref at);
        PageMapBuilder map = default;
        if (!map.TryBegin(2 * pages, 2 * runs)) return false;
        for (int round = 0; round < 2; round++)
        {
            for (int at = 0; at < _blocks.Count;)
            {
                uint first = _blocks[at].Page.Index;
                if (map.TryAdd(first, TakeRun(ref at))) continue;
                map.Abandon();
                return false;
            }
        }
        Volatile.Write(ref _address, (nint)map.End());
        return true;
    }

    // Pages of the blocks from one on that are neighbours, and goes behind them.
    private uint TakeRun(ref int at)
    {
        uint first = _blocks[at].Page.Index, end = first;
        for (; at < _blocks.Count && _blocks[at].Page.Index == end; at++) end += 1u << _blocks[at].Order;
        return end - first;
    }

    private void FreePages()
    {
        foreach (Block block in _blocks) PageAllocator.FreePages(block.Page, block.Order);
        _blocks.Clear();
    }

    private readonly record struct Block(Page Page, int Order);
}
