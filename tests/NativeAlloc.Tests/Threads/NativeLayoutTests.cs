using System.Reflection;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Pins the sizes and places of everything that lives in native memory, where code elsewhere relies on them.
/// </summary>
public sealed unsafe class NativeLayoutTests
{
    [Fact]
    public void Structures_have_the_sizes_they_are_documented_with()
    {
        Assert.Equal(8, sizeof(NativeLock));
        Assert.Equal(32, sizeof(PageFrame));
        Assert.Equal(PageFrame.Bytes, sizeof(PageFrame));
        Assert.Equal(1, sizeof(PageState));
        Assert.Equal(12, sizeof(FrameList));
        Assert.Equal(12 * PageGeometry.OrderCount * Pageblock.TypeCount, sizeof(FreeLists));
        Assert.Equal(768, Zone.Bytes);
        Assert.Equal(Zone.Bytes, sizeof(Zone)); // a stated size never makes a struct smaller than its fields: they fit
        Assert.Equal(1, sizeof(MigrateType));
        Assert.Equal(1, sizeof(ZoneKind));
        Assert.Equal(24, sizeof(ThreadHeader));
        Assert.Equal(sizeof(ulong), sizeof(LowWater));
        Assert.Equal(2 * sizeof(int), sizeof(OwnerClaim));
        Assert.Equal(24, sizeof(DepotStack));
        Assert.Equal(24, sizeof(DepotSize));
        Assert.Equal(96, sizeof(Depot)); // within the two cache lines before the lock
        Assert.Equal(CacheNode.Bytes, sizeof(CacheNode));
        Assert.Equal(ObjectCache.Bytes, sizeof(ObjectCache));
        Assert.Equal(8 + 4 * HotPages.Capacity, sizeof(HotPages));
        Assert.Equal(4 * sizeof(int) + 8 * sizeof(long) + 4 * sizeof(HotPages), sizeof(ThreadPages));
        Assert.Equal(3 * sizeof(int), sizeof(Magazine));
        Assert.Equal(CacheTable.Sides / 8, sizeof(SideSet));
        Assert.Equal(3 * sizeof(long), sizeof(AskedObject));
        Assert.Equal((512, 2048), (Magazine.SmallestBlockBytes, Magazine.LargestBlockBytes));
        Assert.Equal(64, LinearRegion.BitmapWords);
    }

    [Fact]
    public void The_lists_of_a_thread_stand_one_behind_the_other_and_none_in_the_others_place()
    {
        ThreadPages pages = default;
        ThreadPages* own = &pages;
        HashSet<nint> lists = [];
        for (int type = 0; type < ThreadPages.Lists; type++)
            Assert.True(lists.Add((nint)own->List((MigrateType)type)));
        Assert.True(own->Foreign == own->List(MigrateType.Run));
        Assert.All(lists, list => Assert.InRange(list, (nint)own, (nint)own + sizeof(ThreadPages) - sizeof(HotPages)));
        nint[] inOrder = [.. lists.Order()];
        for (int i = 1; i < inOrder.Length; i++) Assert.Equal(inOrder[i - 1] + sizeof(HotPages), inOrder[i]);
    }

    [Fact]
    public void The_parts_of_a_thread_block_fit_and_do_not_overlap()
    {
        Assert.Equal(8192, ThreadBlock.Bytes);
        Assert.Equal(0, ThreadBlock.SlabsOffset);
        Assert.InRange(sizeof(ThreadMagazines), 1, ThreadBlock.SlabsBytes);
        Assert.Equal(ThreadBlock.SlabsOffset + ThreadBlock.SlabsBytes, ThreadBlock.PagesOffset);
        Assert.InRange(sizeof(ThreadPages), 1, ThreadBlock.PagesBytes);
        Assert.Equal(ThreadBlock.PagesOffset + ThreadBlock.PagesBytes, ThreadBlock.HeaderOffset);
        Assert.InRange(sizeof(ThreadHeader), 1, ThreadBlock.PreviousOffset - ThreadBlock.HeaderOffset);
        Assert.Equal(0, ThreadBlock.PreviousOffset % 4096); // a system page of its own
        Assert.Equal(ThreadBlock.Bytes, ThreadBlock.PreviousOffset + CacheTable.Sides * sizeof(nint) + 2048);
    }

    [Fact]
    public void A_blocks_address_and_a_caches_index_find_the_loaded_magazine()
    {
        nint* block = stackalloc nint[ThreadBlock.Bytes / sizeof(nint)];
        for (int i = 0; i < CacheTable.Sides; i++) block[i] = 0;
        ThreadMagazines* magazines = ThreadMagazines.Of(block);
        for (int cache = 0; cache < CacheTable.Sides; cache++) magazines->SetLoaded(cache, cache + 1);
        for (int cache = 0; cache < CacheTable.Sides; cache++) Assert.Equal(cache + 1, block[cache]);
    }

    [Fact]
    public void The_fields_of_a_page_frame_do_not_overlap()
    {
        PageFrame frame = new()
        {
            Next = 0x01020304,
            Previous = 0x05060708,
            State = PageState.Large,
            Order = 10,
            List = 2,
            ZoneIndex = 7,
            Cache = 0x1112,
            FreeObjects = 0x1314,
            FirstWord = 0x1516,
            Type = MigrateType.Movable,
            Dirty = true,
            PageCount = 0x21222324,
        };
        Assert.Equal(0x01020304u, frame.Next);
        Assert.Equal(0x05060708u, frame.Previous);
        Assert.Equal(PageState.Large, frame.GetState());
        Assert.Equal(10, frame.Order);
        Assert.Equal(2, frame.List);
        Assert.Equal(7, frame.ZoneIndex);
        Assert.Equal(0x1112, frame.Cache);
        Assert.Equal(0x1314, frame.FreeObjects);
        Assert.Equal(0x1516, frame.FirstWord);
        Assert.Equal(MigrateType.Movable, frame.Type);
        Assert.True(frame.Dirty);
        Assert.Equal(0x21222324u, frame.PageCount);
        frame.SetState(PageState.Free);
        Assert.Equal(PageState.Free, frame.State);
        Assert.Equal(10, frame.Order);
    }

    [Fact]
    public void Zeroed_memory_is_a_page_that_is_nothing_and_a_thread_block_that_is_nobodys()
    {
        PageFrame frame = default;
        ThreadHeader header = default;
        Assert.Equal(PageState.Inner, frame.State);
        Assert.Equal(MigrateType.Unmovable, frame.Type);
        Assert.Equal(ThreadBlockState.Unused, header.State);
        Assert.Equal(0, header.Initialized);
    }

    [Theory]
    [InlineData(typeof(NativeLock))]
    [InlineData(typeof(MetadataRegion))]
    [InlineData(typeof(ThreadHeader))]
    [InlineData(typeof(PageFrame))]
    [InlineData(typeof(FreeLists))]
    [InlineData(typeof(Zone))]
    [InlineData(typeof(HotPages))]
    [InlineData(typeof(ThreadPages))]
    [InlineData(typeof(NodeSlabs))]
    [InlineData(typeof(Depot))]
    [InlineData(typeof(DepotStack))]
    [InlineData(typeof(DepotSize))]
    [InlineData(typeof(OwnerClaim))]
    [InlineData(typeof(LowWater))]
    [InlineData(typeof(CacheNode))]
    [InlineData(typeof(Magazine))]
    [InlineData(typeof(ObjectCache))]
    [InlineData(typeof(ThreadMagazines))]
    public void What_lives_in_native_memory_holds_no_reference(Type type)
    {
        MethodInfo ask = typeof(RuntimeHelpers).GetMethod(
            nameof(RuntimeHelpers.IsReferenceOrContainsReferences))!.MakeGenericMethod(type);
        Assert.Equal(false, ask.Invoke(null, null));
    }

    [Fact]
    public void What_is_written_without_a_lock_and_what_is_written_under_it_share_no_pair_of_cache_lines()
    {
        CacheNode* nodes = stackalloc CacheNode[2];
        byte* node = (byte*)nodes;
        Assert.Equal(0, (byte*)&nodes->Depot - node);
        Assert.InRange(sizeof(Depot), 1, 128);
        foreach (nint locked in (nint[])[(nint)((byte*)&nodes->Lock - node), (nint)((byte*)&nodes->Refills - node),
            (nint)((byte*)&nodes->Drains - node), (nint)((byte*)&nodes->Slabs - node)])
            Assert.InRange(locked, 128, CacheNode.Bytes - 1);
        Assert.InRange((byte*)&nodes->Slabs - node + sizeof(NodeSlabs), 1, CacheNode.Bytes);
        Assert.Equal(0, CacheNode.Bytes % 128);
    }

    [Fact]
    public void Every_cache_has_an_index_that_fits_a_pages_class_byte()
    {
        Assert.Equal(SizeClasses.Count, CacheTable.FirstMagazineCache);
        Assert.Equal(SizeClasses.Count + 3, CacheTable.FirstUserCache); // three sizes of magazines
        Assert.Equal(CacheTable.Sides, CacheTable.FirstReturnSide + CacheTable.TinyClasses);
        Assert.Equal(CacheTable.WideClass + 1, CacheTable.FirstReturnSide);
        Assert.Equal(CacheTable.WideClass, CacheTable.ReturnSideOf(CacheTable.WideClass));
        Assert.True(CacheTable.FirstWideCache > byte.MaxValue);
        Assert.Equal(byte.MaxValue + 1, CacheTable.Sides);
        Assert.InRange(Magazine.MostObjects, 1, byte.MaxValue);
        HashSet<int> classes = [];
        for (int index = 1; index < CacheTable.WideClass; index++)
        {
            if (CacheTable.IndexOfSide(index) != index) continue; // a return side that the profiler has taken
            Assert.True(classes.Add(index));
            int side = CacheTable.ReturnSideOf(index);
            Assert.Equal(index, CacheTable.IndexOfSide(side));
            if (index <= CacheTable.TinyClasses) Assert.NotEqual(index, side);
            else Assert.True(side == index || index < SizeClasses.Count);
            if (side != index) Assert.True(classes.Add(side));
            int counted = CacheTable.CountedSideOf(index);
            if (counted != 0 && counted != side) Assert.True(classes.Add(counted));
        }
        Assert.True(classes.Add(CacheTable.WideClass));
        Assert.Equal(Enumerable.Range(1, byte.MaxValue), classes.Order());
        Assert.Equal([16u, 32u, 48u],
            Enumerable.Range(1, CacheTable.TinyClasses).Select(index => (uint)SizeClasses.BytesOf(index)));
    }
}
