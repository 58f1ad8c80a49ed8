using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the end of a ring is followed by its beginning, that any part of it is one span, and that nothing is
/// left of one that is gone or could not be made.
/// </summary>
public sealed unsafe class MirroredBufferTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    // More calls than making a ring takes by far.
    private const int MostCalls = 1_000;

    private readonly int _areas = VmallocSpace.Count;

    public static TheoryData<nuint, nuint> Lengths => new()
    {
        { 0, PageBytes }, { 1, PageBytes }, { PageBytes, PageBytes }, { PageBytes + 1, 2 * PageBytes },
        { 3 * PageBytes - 1, 3 * PageBytes }, { 100 * PageBytes, 100 * PageBytes },
        { 70 * Sizes.MiB + 1, 70 * Sizes.MiB + PageBytes },
    };

    public static TheoryData<nuint> ImpossibleLengths => [.. Sizes.Impossible];

    [Theory]
    [MemberData(nameof(Lengths))]
    public void Behind_the_end_is_the_beginning_again(nuint minimumBytes, nuint length)
    {
        if (length > 60 * Sizes.MiB) SystemNeeds.NoWine("all windows together have 128 MiB");
        using MirroredBuffer ring = new(minimumBytes);
        Assert.Equal(length, ring.Length);
        PagePattern.Fill(ring.Pointer, length, 1);
        PagePattern.Check(ring.Pointer + length, length, 1);
        PagePattern.Fill(ring.Pointer + length, length, 2);
        PagePattern.Check(ring.Pointer, length, 2);
        // an overrun is an access violation
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)ring.Pointer + 2 * length));
    }

    [Fact]
    public void A_ring_is_made_of_the_largest_blocks_that_there_are_and_neighbours_are_mapped_as_one()
    {
        List<(Page Page, int Order)> taken = TakeAllHighPages();
        (Page Page, int Order) free = taken.First(each => each.Order >= 3);
        taken.Remove(free);
        PageAllocator.FreePages(free.Page, free.Order);
        int mappings = Rest.Mappings;
        using (new InjectedFaults(OsCall.GrowFile))
        using (MirroredBuffer ring = new(7 * PageBytes))
        {
            Assert.Equal(3, ring.BlockCount); // 4, 2 and 1
            Assert.Equal(mappings + 2 + 1, Rest.Mappings);
            PagePattern.Fill(ring.Pointer, ring.Length, 1);
            PagePattern.Check(ring.Pointer + ring.Length, ring.Length, 1);
        }
        foreach ((Page page, int order) in taken) PageAllocator.FreePages(page, order);
    }

    [Fact]
    public void At_the_limit_room_is_made_for_large_blocks_too()
    {
        NativeAllocator.Trim();
        void* kept = Areas.Alloc(32 * Sizes.MiB, 1, out _, MemoryChoice.FreshOnly);
        Assert.True(Areas.TryFree(kept));
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + Sizes.MiB);
        try
        {
            using MirroredBuffer ring = new(8 * Sizes.MiB);
            Assert.Equal(1, ring.BlockCount);
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        }
    }

    [Fact]
    public void At_the_limit_smaller_blocks_are_taken_and_where_they_are_not_enough_all_go_back()
    {
        NativeAllocator.Trim();
        new MirroredBuffer(1).Dispose(); // what high pages need as long as the process lives
        NativeAllocator.Trim();
        nuint charged = ResidentBudget.ChargedBytes;
        ResidentBudget.SetLimit(charged + 9 * PageBytes);
        try
        {
            string message =
                Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer(10 * PageBytes); }).Message;
            Assert.Contains("resident limit", message, StringComparison.Ordinal);
            using MirroredBuffer ring = new(9 * PageBytes);
            Assert.Equal(2, ring.BlockCount);
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        }
    }

    [Fact]
    public void Beyond_the_limit_nothing_is_gathered_and_the_message_says_why()
    {
        nuint high = (nuint)HighRegion.PageCount * PageBytes;
        ResidentBudget.SetLimit(high / 2);
        try
        {
            ShouldFailWithoutACall(high / 2 + 1, "resident limit");
            ShouldFailWithoutACall(high + 1, "ReserveBytes");
        }
        finally
        {
            ResidentBudget.SetLimit(Options.ResidentLimitBytes);
        }
    }

    private static void ShouldFailWithoutACall(nuint bytes, string reason)
    {
        nuint charged = ResidentBudget.PeakBytes;
        long calls = Platform.Calls;
        string message = Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer(bytes); }).Message;
        Assert.Contains(reason, message, StringComparison.Ordinal);
        Assert.Equal((charged, calls), (ResidentBudget.PeakBytes, Platform.Calls));
    }

    [Fact]
    public void A_span_may_begin_anywhere_and_go_across_the_end()
    {
        using MirroredBuffer ring = new(3 * PageBytes);
        int length = (int)ring.Length;
        for (int i = 0; i < length; i++) ring.Pointer[i] = ByteAt((nuint)i);
        foreach (nuint position in (nuint[])[0, 1, ring.Length - 1, ring.Length, ring.Length + 5,
            1000 * ring.Length + 77, ((nuint)1 << 60) + 3])
        {
            foreach (int count in (int[])[0, 1, 100, length - 1, length])
            {
                Span<byte> span = ring.GetSpan(position, count);
                Assert.Equal(count, span.Length);
                for (int i = 0; i < count; i += 997)
                    Assert.Equal(ring.Pointer[(position + (nuint)i) % ring.Length], span[i]);
                if (count != 0) Assert.Equal(ring.Pointer[(position + (nuint)count - 1) % ring.Length], span[^1]);
            }
        }
    }

    [Fact]
    public void What_goes_in_at_one_end_comes_out_at_the_other()
    {
        using MirroredBuffer ring = new(2 * PageBytes);
        Random random = new(5);
        nuint written = 0, read = 0;
        byte[] buffer = new byte[ring.Length];
        while (read < 40 * ring.Length)
        {
            int room = (int)(ring.Length - (written - read)), put = random.Next(room + 1);
            Span<byte> end = ring.GetSpan(written, put);
            for (int i = 0; i < put; i++) end[i] = ByteAt(written + (nuint)i);
            written += (nuint)put;
            int take = random.Next((int)(written - read) + 1);
            ring.GetSpan(read, take).CopyTo(buffer);
            for (int i = 0; i < take; i++)
                if (buffer[i] != ByteAt(read + (nuint)i)) Assert.Fail($"byte {read + (nuint)i} is another");
            read += (nuint)take;
        }
    }

    [Fact]
    public void A_span_that_is_longer_than_the_ring_is_refused()
    {
        using MirroredBuffer ring = new(1);
        foreach (int length in (int[])[-1, int.MinValue, (int)PageBytes + 1, int.MaxValue])
            Assert.Contains($"0 to {PageBytes}", Assert.Throws<ArgumentOutOfRangeException>(nameof(length),
                () => { ring.GetSpan(0, length); }).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_ring_that_is_disposed_of_is_gone_and_may_be_disposed_of_again()
    {
        MirroredBuffer ring = new(1);
        ring.Dispose();
        Assert.Throws<ObjectDisposedException>(() => { _ = ring.Pointer; });
        Assert.Throws<ObjectDisposedException>(() => { ring.GetSpan(0, 1); });
        ring.Dispose();
        Assert.Equal(PageBytes, ring.Length);
        Assert.Equal(_areas, VmallocSpace.Count);
    }

    [Theory]
    [MemberData(nameof(ImpossibleLengths))]
    public void A_size_that_no_system_has_is_out_of_memory(nuint minimumBytes) =>
        Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer(minimumBytes); });

    [Fact]
    public void Where_no_pages_are_side_by_side_single_ones_are_taken_and_where_there_are_none_it_fails()
    {
        const int Pages = 8;
        List<(Page Page, int Order)> taken = TakeAllHighPages();
        using (new InjectedFaults(OsCall.GrowFile))
        {
            Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer(1); });
            // Every second page of a block is free: no two are neighbours.
            Page[] singles = [.. taken.Where(each => each.Order == 0).Select(each => each.Page)];
            Page[] apart = [.. singles.Where(page => page.Index % 2 == 0).Take(Pages)];
            Assert.Equal(Pages, apart.Length);
            foreach (Page page in apart) PageAllocator.FreePage(page);
            int mappings = Rest.Mappings;
            using (MirroredBuffer ring = new(Pages * PageBytes))
            {
                Assert.Equal(mappings + 2 * Pages + 1, Rest.Mappings);
                PagePattern.Fill(ring.Pointer, ring.Length, 4);
                PagePattern.Check(ring.Pointer + ring.Length, ring.Length, 4);
                Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer(1); });
            }
            // and those that were there are free again
            Assert.Throws<OutOfMemoryException>(() => { _ = new MirroredBuffer((Pages + 1) * PageBytes); });
            using MirroredBuffer again = new(Pages * PageBytes);
            foreach (Page page in apart) taken.Remove((page, 0));
        }
        foreach ((Page page, int order) in taken) PageAllocator.FreePages(page, order);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Any_system_call_may_fail_while_a_ring_is_made_and_given_back(bool andAllLater)
    {
        for (int first = 0; ; first++)
        {
            Assert.True(first < MostCalls, "it does not come to an end");
            LeakCheck leaks = new();
            FaultPlan plan = new(null, first, andAllLater);
            bool made = false;
            plan.Run(() =>
            {
                try
                {
                    using MirroredBuffer ring = new(5 * PageBytes);
                    made = true;
                    PagePattern.Fill(ring.Pointer, ring.Length, 6);
                    PagePattern.Check(ring.Pointer + ring.Length, ring.Length, 6);
                }
                catch (OutOfMemoryException)
                {
                    Assert.False(made);
                }
            });
            leaks.Finish();
            new MirroredBuffer(1).Dispose(); // takes down what was left
            Assert.Equal(_areas, VmallocSpace.Count);
            if (plan.Injected != 0) continue;
            Assert.True(made && first >= 3, "no call was made"); // two to map it, one to unmap it
            break;
        }
    }

    private static byte ByteAt(nuint position) => unchecked((byte)((position * 2654435761) >> 24));

    // Blocks first, then what is left of them, page by page; at least one block becomes single pages.
    private static List<(Page Page, int Order)> TakeAllHighPages()
    {
        Zones.Prepare(PageZone.High);
        using InjectedFaults faults = new(OsCall.GrowFile);
        List<(Page, int)> taken = [];
        for (int i = 0; i < 64; i++) taken.Add((PageAllocator.AllocPage(PageFlags.High), 0));
        for (int order = PageAllocator.MaxOrder; order >= 0; order--)
        {
            while (true)
            {
                Page page = PageAllocator.AllocPages(order, PageFlags.High);
                if (page.Zone == PageZone.High)
                {
                    taken.Add((page, order));
                    continue;
                }
                PageAllocator.FreePages(page, order);
                break;
            }
        }
        return taken;
    }
}
