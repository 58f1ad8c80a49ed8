using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Tests.Os;
using NativeAlloc.Tests.Pages;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Shows that a slab in use gives back the system pages that only free objects lie in, and no other; that nothing is
/// taken from it until what it needs is charged again; and that objects may come back to it all the while.
/// <see cref="TestCache"/> compares every step with an oracle, byte by byte.
/// </summary>
public sealed unsafe class HolesTests
{
    // What other tests have left goes before, and not in the middle.
    public HolesTests() => TestZone.Settle();

    private static uint SystemPage => (uint)VirtualMemory.PageBytes;

    [Theory]
    [InlineData(16)]
    [InlineData(144)]
    [InlineData(1152)]
    [InlineData(3584)]
    [InlineData(4096)]
    [InlineData(9216)]
    [InlineData(40_960)]
    public void Random_taking_putting_purging_and_filling_agrees_with_an_oracle_at_every_step(int bytes) =>
        Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("take", "take", "put", "put", "grow", "purge", "shrink"),
            Values.Pairs(Values.Between(1, 90), Values.Between(0, int.MaxValue))),
        60,
        operations =>
        {
            nuint charged = ResidentBudget.ChargedBytes;
            uint dirty = PageLayer.DirtyPages();
            using (TestCache cache = new((nuint)bytes))
            {
                // every byte of each is looked at
                int most = (int)Math.Max(2, 120_000 / (cache.Cache->SlabPages * PageGeometry.PageBytes / 16));
                foreach ((string kind, (int count, int seed)) in operations)
                {
                    if (kind == "take") cache.Take(count);
                    if (kind == "put")
                        cache.Put(cache.Some(count * Math.Max(1, (int)cache.Cache->ObjectsPerSlab / 60), seed));
                    if (kind == "grow" && cache.HollowCount != 0) cache.Fill();
                    else if (kind == "grow" && cache.SlabCount < most) cache.Grow();
                    if (kind == "purge") cache.PurgeHoles();
                    if (kind == "shrink") cache.Shrink();
                }
            }
            // as if no slab had ever been hollow
            Assert.Equal((nint)(PageLayer.DirtyPages() - dirty) << PageGeometry.PageShift,
                (nint)(ResidentBudget.ChargedBytes - charged));
        },
        runs: 25);

    [Fact]
    public void A_system_page_goes_back_when_its_last_object_does()
    {
        using TestCache cache = new(1024);
        cache.Grow();
        nint[] objects = cache.Take(64);
        Array.Sort(objects);
        cache.Put(objects.AsSpan(4, 3));
        Assert.Equal(0u, cache.PurgeHoles()); // three of four
        cache.Put(objects[7]);
        Assert.Equal(SystemPage, cache.PurgeHoles());
        Assert.Equal(1, cache.HollowCount);
        Assert.Empty(cache.Take(1));
        cache.Put(objects.AsSpan(8, 8));
        Assert.Equal(2 * SystemPage, cache.PurgeHoles());
        cache.Fill();
        Assert.Equal(0, cache.HollowCount);
        Assert.Equal(12, cache.Take(64).Length);
    }

    [Fact]
    public void A_full_slab_gives_back_what_lies_behind_its_last_object_once()
    {
        using TestCache cache = new(36_864);
        cache.Grow();
        nint[] objects = cache.Take(5); // of 192 KiB they need 180
        Assert.Equal(12 * 1024u, cache.PurgeHoles());
        Assert.Equal(0u, cache.PurgeHoles());
        Assert.Equal(0, cache.HollowCount); // nobody needs it
        cache.Put(objects[2]);
        Assert.Single(cache.Take(5));
    }

    [Fact]
    public void Without_a_hollow_slab_that_the_budget_has_room_for_nothing_is_filled()
    {
        using TestCache cache = new(4096);
        cache.Grow();
        nint[] objects = cache.Take(16);
        cache.Put(objects.AsSpan(0, 15));
        cache.PurgeHoles();
        Reclaimer.GiveBack(); // a used page would do as well
        nuint limit = ResidentBudget.IsDerived ? 0 : ResidentBudget.LimitBytes;
        ResidentBudget.SetLimit(ResidentBudget.ChargedBytes + 14 * SystemPage);
        try
        {
            Assert.False(cache.TryGrow(1, out _));
            Assert.Equal(1, cache.HollowCount);
        }
        finally
        {
            ResidentBudget.SetLimit(limit);
        }
        cache.Fill();
        Assert.Equal(15, cache.Take(16).Length);
    }

    [Fact]
    public void Where_the_system_takes_nothing_back_the_slabs_stay_as_they_are()
    {
        using TestCache cache = new(2048);
        cache.Grow();
        nint[] objects = cache.Take(32);
        cache.Put(objects.AsSpan(4, 26));
        nuint charged = ResidentBudget.ChargedBytes;
        using (new InjectedFaults(OsCall.Purge)) Assert.Equal(0u, cache.Cache->PurgeHoles(cache.Node));
        Assert.Equal(charged, ResidentBudget.ChargedBytes);
        cache.Cache->Verify();
        Assert.Equal(26, cache.Take(32).Length);
    }

    [Fact]
    public void Holes_of_several_slabs_are_given_back_in_one_call()
    {
        using TestCache cache = new(4096);
        for (int i = 0; i < 8; i++) cache.Grow();
        nint[] objects = cache.Take(8 * 16);
        cache.Put([.. objects.Where((_, i) => i % 16 is not 3)]); // one object of each is out: two holes
        int calls = 0;
        using (new InjectedFaults(call =>
        {
            if (call == OsCall.Purge) calls++;
            return false;
        }))
        {
            Assert.Equal((nuint)(8 * 15 * 4096), cache.PurgeHoles());
        }
        Assert.Equal(1, calls);
        Assert.Equal(8, cache.HollowCount);
        cache.Cache->Verify();
    }

    [Fact]
    public void Only_so_many_objects_lose_their_memory_as_nobody_needed()
    {
        using TestCache cache = new(4096);
        for (int i = 0; i < 4; i++) cache.Grow();
        nint[] objects = cache.Take(64);
        cache.Put([.. objects.Where((_, i) => i % 16 is not 3)]); // one object of each is out
        Assert.Equal(0u, cache.Node->Slabs.ReadAndResetUnneededObjects()); // they were out until now
        Assert.Equal(60u, cache.Node->Slabs.ReadAndResetUnneededObjects());
        nint[] taken = cache.Take(20);
        cache.Put(taken);
        Assert.Equal(40u, cache.Node->Slabs.ReadAndResetUnneededObjects());
        Assert.Equal(3 * 15 * SystemPage, cache.Cache->PurgeHoles(cache.Node, 40)); // a slab is purged whole or not
        cache.NoteHollow();
        Assert.Equal(15, cache.FreeObjects);
    }

    [Fact]
    public void Objects_with_a_constructor_keep_their_memory()
    {
        using SlabCache<long> cache = new("constructed", 0, &Construct);
        long*[] objects = new long*[10_000];
        for (int i = 0; i < objects.Length; i++) objects[i] = cache.Alloc();
        for (int i = 0; i < objects.Length; i++)
            if (i % 1000 != 0) cache.Free(objects[i]);
        NativeAllocator.Trim();
        for (int i = 0; i < objects.Length; i++)
        {
            if (i % 1000 == 0) continue;
            objects[i] = cache.Alloc();
            Assert.Equal(42, *objects[i]);
        }
        foreach (long* each in objects) cache.Free(each);
    }

    [Fact]
    public void The_last_object_may_come_back_while_the_system_works()
    {
        using SlabCache made = new("purged", 4096);
        void* probe = made.Alloc();
        ObjectCache* cache = CacheTable.CacheOfPage((uint)LinearRegion.PageIndexOf(probe));
        made.Free(probe);
        NativeAllocator.Trim();
        nint[] objects = new nint[cache->ObjectsPerSlab];
        for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache->AllocDirect(null, out _);
        for (int i = 1; i < objects.Length; i++) SlabReturn.FreeDirect(cache, null, (void*)objects[i]);
        bool isOut = true;
        using (new InjectedFaults(_ =>
        {
            if (isOut) SlabReturn.FreeDirect(cache, null, (void*)objects[0]);
            return isOut = false;
        }))
            cache->PurgeHoles(cache->Node(0));
        Assert.False(isOut);
        NativeAllocator.Verify();
        for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache->AllocDirect(null, out _);
        Assert.Equal(objects.Length, objects.Distinct().Count());
        foreach (nint each in objects) SlabReturn.FreeDirect(cache, null, (void*)each);
        NativeAllocator.Verify();
    }

    [Fact]
    public void Threads_go_on_while_their_slabs_are_purged()
    {
        const long LeastPurged = 1 << 20;
        long purged = SystemCounters.PurgedBytes;
        bool over = false;
        int running = 3;
        TestThread.RunTogether(4, number =>
        {
            if (number == 3)
            {
                while (!Volatile.Read(ref over)) Reclaimer.ReleaseCaches();
                return;
            }
            Random random = new(number);
            List<(nint Pointer, int Bytes)> live = [];
            for (int i = 0; i < 20_000 || SystemCounters.PurgedBytes - purged < LeastPurged; i++)
            {
                if (live.Count == 0 || (live.Count < 600 && random.Next(2) == 0))
                {
                    int bytes = random.Next(16, 9000);
                    nint pointer = (nint)NativeAllocator.Alloc((nuint)bytes);
                    new Span<byte>((void*)pointer, bytes).Fill((byte)(number + 1 + bytes % 50));
                    live.Add((pointer, bytes));
                }
                else
                {
                    int at = random.Next(live.Count);
                    (nint pointer, int bytes) = live[at];
                    live[at] = live[^1];
                    live.RemoveAt(live.Count - 1);
                    if (new Span<byte>((void*)pointer, bytes).ContainsAnyExcept((byte)(number + 1 + bytes % 50)))
                        throw new InvalidOperationException("a block lost what was written to it");
                    NativeAllocator.Free((void*)pointer);
                }
            }
            foreach ((nint pointer, _) in live) NativeAllocator.Free((void*)pointer);
            if (Interlocked.Decrement(ref running) == 0) Volatile.Write(ref over, true);
        });
        NativeAllocator.Verify();
    }

    private static void Construct(long* item) => *item = 42;
}
