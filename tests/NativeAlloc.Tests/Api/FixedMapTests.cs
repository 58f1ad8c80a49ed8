using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the slots of <see cref="FixedMap"/> stay where they are, show the page that was set last, and never
/// nothing in between.
/// </summary>
public sealed unsafe class FixedMapTests : LeakCheckedTests
{
    private const nuint PageBytes = PageAllocator.PageSize;

    public static TheoryData<int> BadSlots => [-1, FixedMap.SlotCount, int.MinValue, int.MaxValue];

    [Fact]
    public void Slots_have_addresses_of_their_own_that_do_not_change()
    {
        using HighPages pages = new(1);
        nuint first = (nuint)FixedMap.AddressOf(0);
        for (int slot = 0; slot < FixedMap.SlotCount; slot++)
        {
            nuint address = first + (nuint)slot * PageBytes;
            Assert.Equal(address, (nuint)FixedMap.AddressOf(slot));
            Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address));
        }
        Assert.Equal(first + PageBytes, (nuint)FixedMap.Set(1, pages[0]));
        Assert.Equal(first + PageBytes, (nuint)FixedMap.AddressOf(1));
        FixedMap.Clear(1);
        Assert.Equal(first + PageBytes, (nuint)FixedMap.AddressOf(1));
        Assert.Equal((nuint)0, first % PageBytes);
    }

    [Fact]
    public void A_slot_shows_the_page_that_was_set_last_and_pages_keep_what_they_hold()
    {
        using HighPages pages = new(3);
        for (int i = 0; i < pages.Count; i++) Pattern.Fill(FixedMap.Set(5, pages[i]), PageBytes, (ulong)i);
        for (int i = 0; i < pages.Count; i++) Pattern.Check(FixedMap.Set(5, pages[i]), PageBytes, (ulong)i);
        FixedMap.Clear(5);
    }

    [Fact]
    public void A_page_behind_several_slots_and_mapped_elsewhere_is_the_same_everywhere()
    {
        using HighPages pages = new(1);
        byte* one = (byte*)FixedMap.Set(0, pages[0]), other = (byte*)FixedMap.Set(FixedMap.SlotCount - 1, pages[0]),
            mapped = (byte*)PersistentMap.Map(pages[0]);
        Pattern.Fill(one, PageBytes, 7);
        Pattern.Check(other, PageBytes, 7);
        Pattern.Check(mapped, PageBytes, 7);
        mapped[PageBytes - 1] = 99;
        Assert.Equal((99, 99), (one[PageBytes - 1], other[PageBytes - 1]));
        PersistentMap.Unmap(pages[0]);
        FixedMap.Clear(0);
        Assert.Equal(99, other[PageBytes - 1]);
        FixedMap.Clear(FixedMap.SlotCount - 1);
    }

    [Fact]
    public void Nobody_who_reads_a_slot_sees_nothing_while_its_page_is_exchanged()
    {
        SystemNeeds.MapsOver();
        const int Exchanges = 3_000;
        using HighPages pages = new(2);
        for (int i = 0; i < 2; i++) new Span<byte>(FixedMap.Set(2, pages[i]), (int)PageBytes).Fill((byte)(i + 1));
        bool done = false;
        int ones = 0, twos = 0;
        TestThread.RunTogether(3, number =>
        {
            if (number == 0)
            {
                // Until the readers have seen both pages: on a busy machine they may get their turn late.
                for (int i = 0; i < Exchanges || Volatile.Read(ref ones) == 0 || Volatile.Read(ref twos) == 0; i++)
                    FixedMap.Set(2, pages[i % 2]);
                Volatile.Write(ref done, true);
                return;
            }
            byte* slot = (byte*)FixedMap.AddressOf(2);
            for (nuint at = 0; !Volatile.Read(ref done); at = (at + 4099) % PageBytes)
            {
                byte value = Volatile.Read(ref slot[at]); // an access violation, if there were nothing
                Assert.InRange(value, 1, 2);
                Interlocked.Increment(ref value == 1 ? ref ones : ref twos);
            }
        });
        FixedMap.Clear(2);
    }

    [Fact]
    public void A_slot_that_was_cleared_has_nothing_behind_it_and_may_be_cleared_again()
    {
        using HighPages pages = new(1);
        nuint address = (nuint)FixedMap.Set(9, pages[0]);
        Assert.Equal(AddressSpace.Shared, AddressSpace.PermissionsAt(address));
        FixedMap.Clear(9);
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(address));
        FixedMap.Clear(9);
    }

    [Fact]
    public void Where_the_system_refuses_the_old_page_stays()
    {
        using HighPages pages = new(2);
        byte* slot = (byte*)FixedMap.Set(4, pages[0]);
        *slot = 11;
        using (new InjectedFaults(OsCall.MapFile))
        {
            Assert.Throws<OutOfMemoryException>(() => { FixedMap.Set(4, pages[1]); });
            Assert.Throws<OutOfMemoryException>(() => FixedMap.Clear(4));
        }
        Assert.Equal(11, *slot);
        FixedMap.Set(4, pages[1]);
        Assert.Equal(0, *slot);
        FixedMap.Clear(4);
    }

    [Theory]
    [MemberData(nameof(BadSlots))]
    public void A_slot_that_there_is_not_is_refused_by_range(int slot)
    {
        using HighPages pages = new(1);
        foreach (Action use in (Action[])[() => FixedMap.AddressOf(slot), () => FixedMap.Set(slot, pages[0]),
            () => FixedMap.Clear(slot)])
        {
            ArgumentOutOfRangeException error = Assert.Throws<ArgumentOutOfRangeException>(nameof(slot), use);
            Assert.Contains($"0 to {FixedMap.SlotCount - 1}", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(PageFlags.None)]
    [InlineData(PageFlags.Dma)]
    public void A_page_with_an_address_cannot_be_set(PageFlags flags)
    {
        Page page = PageAllocator.AllocPage(flags);
        ArgumentException error = Assert.Throws<ArgumentException>("page", () => { FixedMap.Set(0, page); });
        Assert.Contains("PageFlags.High", error.Message, StringComparison.Ordinal);
        PageAllocator.FreePage(page);
    }

    [Fact]
    public void No_page_and_a_freed_page_cannot_be_set()
    {
        Page page = PageAllocator.AllocPage(PageFlags.High);
        PageAllocator.FreePage(page);
        Assert.Contains($"{page.Index} is free", Assert.Throws<ArgumentException>("page",
            () => { FixedMap.Set(0, page); }).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("page", () => { FixedMap.Set(0, default); });
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt((nuint)FixedMap.AddressOf(0)));
    }
}
