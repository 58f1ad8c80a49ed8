using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves the contract of slab caches: what they accept, that objects are whole, aligned and their own, which pointers
/// they refuse, and that all memory comes back.
/// </summary>
public sealed unsafe class SlabCacheTests : LeakCheckedTests
{
    private const nuint LargestObject = 512 * Sizes.KiB, LargestAlignment = 64 * Sizes.KiB;

    /// <summary>Indexes that the classes, the magazines and the return sides leave to users.</summary>
    private const int WithMagazines = 144;

    public static TheoryData<int, int> SizesAndAlignments => new()
    {
        { 1, 0 }, { 1, 1 }, { 15, 8 }, { 16, 16 }, { 17, 0 }, { 24, 32 }, { 64, 64 }, { 100, 0 }, { 100, 128 },
        { 1000, 4096 }, { 1, 65_536 }, { 3000, 0 }, { 4097, 4096 },
        { 32_768, 0 }, { 32_769, 0 }, { 65_552, 0 }, { 65_552, 65_536 }, { 196_624, 0 }, { 393_232, 0 },
        { 500_000, 65_536 }, { 524_288, 0 }, { 524_288, 65_536 },
    };

    [Theory]
    [MemberData(nameof(SizesAndAlignments))]
    public void Objects_have_the_size_and_alignment_asked_for_and_do_not_overlap(int size, int alignment)
    {
        nuint step = Math.Max((nuint)alignment, 16);
        using SlabCache cache = new("whole", (nuint)size, (nuint)alignment);
        Assert.Equal("whole", cache.Name);
        Assert.Equal((nuint)size, cache.ObjectSize);
        int count = (int)Math.Clamp((nuint)(4 << 20) / Math.Max((nuint)size, step), 10, 600);
        nint[] objects = new nint[count];
        for (int i = 0; i < count; i++)
        {
            objects[i] = (nint)cache.Alloc();
            Assert.Equal(0, objects[i] % (nint)step);
            Assert.True(NativeAllocator.UsableSize((void*)objects[i]) >= (nuint)size);
            Pattern.Fill((void*)objects[i], (nuint)size, (ulong)i);
        }
        for (int i = 0; i < count; i++)
        {
            Pattern.Check((void*)objects[i], (nuint)size, (ulong)i);
            cache.Free((void*)objects[i]);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData("two words")]
    [InlineData("tab\tinside")]
    [InlineData("line\nend")]
    [InlineData("\vvertical")]
    [InlineData("form\ffeed")]
    [InlineData("nul\0")]
    [InlineData("next\u0085line")]
    [InlineData("no\u00A0break")]
    [InlineData("line\u2028separator")]
    [InlineData("delete\u007F")]
    public void A_name_must_be_one_word(string? name)
    {
        foreach (Action make in (Action[])[() => new SlabCache(name!, 16), () => new NativeHeap(name ?? "")])
        {
            ArgumentException error = Assert.ThrowsAny<ArgumentException>(make);
            Assert.Equal("name", error.ParamName);
            if (name?.Trim().Length > 0) Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_size_out_of_range_is_refused_with_the_range()
    {
        foreach (nuint size in (nuint[])[0, LargestObject + 1, nuint.MaxValue])
        {
            ArgumentOutOfRangeException error =
                Assert.Throws<ArgumentOutOfRangeException>(() => new SlabCache("bad", size));
            Assert.Equal("objectSize", error.ParamName);
            Assert.Equal(size, error.ActualValue);
            Assert.Contains($" {size} bytes", error.Message, StringComparison.Ordinal);
            Assert.Contains($"1 to {LargestObject}", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void An_alignment_must_be_a_power_of_two_up_to_a_page()
    {
        foreach (nuint alignment in (nuint[])[3, 24, 65_535, nuint.MaxValue])
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => new SlabCache("bad", 16, alignment));
            Assert.Equal("alignment", error.ParamName);
            Assert.Contains($" {alignment};", error.Message, StringComparison.Ordinal);
        }
        foreach (nuint alignment in (nuint[])[2 * LargestAlignment, (nuint)1 << 63])
        {
            ArgumentOutOfRangeException error =
                Assert.Throws<ArgumentOutOfRangeException>(() => new SlabCache("bad", 16, alignment));
            Assert.Equal("alignment", error.ParamName);
            Assert.Contains($" {alignment};", error.Message, StringComparison.Ordinal);
            Assert.Contains($" {LargestAlignment}", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_cache_of_a_type_has_the_types_size_and_by_default_its_name()
    {
        using SlabCache<Guid> guids = new();
        Assert.Equal("Guid", guids.Name);
        Assert.Equal((nuint)sizeof(Guid), guids.ObjectSize);
        Guid* one = guids.Alloc(), two = guids.Alloc();
        Assert.True(one != two);
        *one = Guid.AllBitsSet;
        *two = Guid.Empty;
        Assert.Equal(Guid.AllBitsSet, *one);
        guids.Free(one);
        guids.Free(two);
        Assert.True(guids.Shrink() > 0);
        using SlabCache<long> aligned = new("longs", alignment: 256);
        Assert.Equal("longs", aligned.Name);
        long* value = aligned.Alloc();
        Assert.Equal(0, (nint)value % 256);
        aligned.Free(value);
        Assert.Throws<ArgumentOutOfRangeException>(() => new SlabCache<TooLarge>());
    }

    [Fact]
    public void What_an_object_holds_survives_its_free()
    {
        using SlabCache cache = new("state", 200);
        Assert.Equal(100, CountKept(cache, 100));
        // Also through the slabs and back, where the slab stays because of one object.
        nint keeper = (nint)cache.Alloc();
        nint[] objects = AllocAll(cache, 100);
        for (int i = 0; i < objects.Length; i++) Pattern.Fill((void*)objects[i], 200, (ulong)objects[i]);
        foreach (nint each in objects) cache.Free((void*)each);
        cache.Shrink();
        nint[] again = AllocAll(cache, 100);
        Assert.True(again.Intersect(objects).Count() > 50, "other objects came, so nothing is proved");
        foreach (nint each in again.Intersect(objects)) Pattern.Check((void*)each, 200, (ulong)each);
        foreach (nint each in again) cache.Free((void*)each);
        cache.Free((void*)keeper);

        static int CountKept(SlabCache cache, int rounds)
        {
            int kept = 0;
            for (int i = 0; i < rounds; i++)
            {
                void* first = cache.Alloc();
                Pattern.Fill(first, 200, (ulong)i);
                cache.Free(first);
                void* second = cache.Alloc();
                if (second == first && Pattern.FindMismatch(second, 200, (ulong)i) == Pattern.None) kept++;
                cache.Free(second);
            }
            return kept;
        }
    }

    [Fact]
    public void An_object_may_be_freed_asked_about_and_resized_like_any_block()
    {
        foreach (nuint size in (nuint[])[16, 48, 200, 5000, 40_000, 524_288])
        {
            using SlabCache cache = new("any", size);
            byte* one = (byte*)cache.Alloc();
            nuint usable = (size + 15) & ~(nuint)15;
            Assert.Equal(usable, NativeAllocator.UsableSize(one));
            Assert.True(NativeAllocator.Owns(one));
            Assert.True(NativeAllocator.Owns(one + size - 1));
            NativeAllocator.Free(one);

            one = (byte*)cache.Alloc();
            Pattern.Fill(one, size, 7);
            byte* grown = (byte*)NativeAllocator.Realloc(one, 3 * size);
            Assert.True(grown != one);
            Pattern.Check(grown, size, 7);
            NativeAllocator.Free(grown);

            one = (byte*)cache.Alloc();
            Assert.True(NativeAllocator.Realloc(one, size) == one); // it fits where it is
            cache.Free(one);
        } // and none of them is live, else the end of the cache says so
    }

    [Fact]
    public void Pointers_that_are_no_object_of_the_cache_are_refused_by_name()
    {
        using SlabCache cache = new("mine", 200), other = new("another", 200);
        byte* mine = (byte*)cache.Alloc();
        void* others = other.Alloc(), block = NativeAllocator.Alloc(200), large = NativeAllocator.Alloc(3 * Sizes.MiB),
            huge = NativeAllocator.Alloc(100 * Sizes.MiB);
        int local = 0;
        foreach (nint wrong in (nint[])[(nint)others, (nint)block, (nint)large, (nint)huge, (nint)(&local), 0x10000,
            (nint)mine + 1, (nint)mine + 8, (nint)mine + 199])
        {
            ArgumentException error = Assert.Throws<ArgumentException>(() => cache.Free((void*)wrong));
            Assert.Contains($"0x{(nuint)wrong:x} ", error.Message, StringComparison.Ordinal);
            Assert.Contains("'mine'", error.Message, StringComparison.Ordinal);
        }
        // Behind the last object of its slab.
        ObjectCache* slabs =
            CacheTable.CacheAt(CacheTable.IndexOfSide(LinearRegion.ClassOf(LinearRegion.PageIndexOf(mine))));
        nuint slab = LinearRegion.AddressOf(slabs->SlabOf((uint)LinearRegion.PageIndexOf(mine)));
        nuint end = slab + slabs->ObjectsPerSlab * slabs->ObjectBytes;
        Assert.Contains("'mine'", Assert.Throws<ArgumentException>(() => cache.Free((void*)(end + 1))).Message,
            StringComparison.Ordinal);
        cache.Free(null); // does nothing
        cache.Free(mine);
        other.Free(others);
        NativeAllocator.Free(block);
        NativeAllocator.Free(large);
        NativeAllocator.Free(huge);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(1000)]
    [InlineData(32_768)]
    [InlineData(65_536)]
    [InlineData(196_624)]
    public void Shrink_gives_back_the_pages_of_slabs_that_nobody_uses(int size)
    {
        using SlabCache cache = new("shrunk", (nuint)size);
        Assert.Equal(0, cache.Shrink());
        nint[] objects = AllocAll(cache, (16 << 20) / size);
        ObjectCache* slabs = CacheOf(objects[0]);
        Assert.True(slabs->Node(0)->Slabs.SlabCount * slabs->SlabPages >= 15 << 4);
        for (int i = 1; i < objects.Length; i++) cache.Free((void*)objects[i]);
        uint before = slabs->Node(0)->Slabs.SlabCount;
        Assert.Equal((int)((before - 1) * slabs->SlabPages), cache.Shrink());
        Assert.Equal(1u, slabs->Node(0)->Slabs.SlabCount); // that of the object that is left
        Assert.Equal(0, cache.Shrink());
        cache.Free((void*)objects[0]);
        before = slabs->Node(0)->Slabs.SlabCount; // 0 where objects go to their slabs at once
        Assert.Equal((int)(before * slabs->SlabPages), cache.Shrink());
        Assert.Equal(0u, slabs->Node(0)->Slabs.SlabCount);
    }

    [Fact]
    public void A_cache_with_objects_in_use_cannot_be_disposed_of_and_stays_as_it_is()
    {
        SlabCache cache = new("busy", 100);
        nint[] objects = AllocAll(cache, 1000);
        for (int i = 0; i < objects.Length; i++) Pattern.Fill((void*)objects[i], 100, (ulong)i);
        for (int left = 1000; left > 0; left -= 333)
        {
            InvalidOperationException error = Assert.Throws<InvalidOperationException>(cache.Dispose);
            Assert.Contains("'busy'", error.Message, StringComparison.Ordinal);
            Assert.Contains($" {left} of its objects", error.Message, StringComparison.Ordinal);
            for (int i = 0; i < left; i++) Pattern.Check((void*)objects[i], 100, (ulong)i);
            nint more = (nint)cache.Alloc();
            Assert.DoesNotContain(more, objects.Take(left));
            cache.Free((void*)more);
            Assert.True(cache.Shrink() >= 0);
            for (int i = Math.Max(0, left - 333); i < left; i++) cache.Free((void*)objects[i]);
        }
        cache.Dispose();
        cache.Dispose(); // a second time does nothing
    }

    [Fact]
    public void Disposing_takes_objects_out_of_the_magazines_of_other_threads_that_live()
    {
        NativeAllocator.Trim();
        nuint live = NativeAllocator.GetStatistics().LiveBytes;
        using TestThread first = new(), second = new();
        SlabCache cache = new("spread", 128);
        foreach (TestThread thread in (TestThread[])[first, second])
        {
            thread.Run(() =>
            {
                nint[] objects = AllocAll(cache, 300);
                foreach (nint each in objects) cache.Free((void*)each);
            });
        }
        nint probe = (nint)cache.Alloc();
        ObjectCache* slabs = CacheOf(probe);
        int index = slabs->Index;
        cache.Free((void*)probe);
        long cached = CacheFigures.Of(index).InMagazines;
        Assert.True(cached > 2 * 64, $"the threads keep {cached} objects only");
        cache.Dispose();
        Assert.False(CacheTable.Exists(index));
        Assert.Equal(0, CacheFigures.Of(index).InMagazines);
        Assert.Equal(0u, slabs->Node(0)->Slabs.SlabCount);
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBytes);
        // The next cache at the same index has nothing of the one before, on any thread.
        using SlabCache next = new("next", 4000);
        foreach (TestThread thread in (TestThread[])[first, second])
        {
            thread.Run(() =>
            {
                nint[] objects = AllocAll(next, 50);
                Assert.All(objects, each => Assert.Equal((nuint)4000, NativeAllocator.UsableSize((void*)each)));
                foreach (nint each in objects) next.Free((void*)each);
            });
        }
    }

    [Fact]
    public void A_cache_that_is_disposed_of_is_refused_even_when_its_place_was_given_to_another()
    {
        SlabCache cache = new("gone", 64);
        void* old = cache.Alloc();
        cache.Free(old);
        cache.Dispose();
        ShouldBeGone(old);
        using SlabCache heir = new("heir", 64);
        void* young = heir.Alloc();
        ShouldBeGone(young);
        cache.Dispose();
        void* next = heir.Alloc(); // the heir is as it was
        Assert.True(next != young);
        heir.Free(young);
        heir.Free(next);
        ShouldBeGone(young);

        void ShouldBeGone(void* pointer)
        {
            Assert.Throws<ObjectDisposedException>(() => { cache.Alloc(); });
            Assert.Throws<ObjectDisposedException>(() => cache.Free(pointer));
            Assert.Throws<ObjectDisposedException>(() => cache.Free(null));
            Assert.Throws<ObjectDisposedException>(() => cache.Shrink());
            Assert.Equal("gone", cache.Name);
        }
    }

    [Fact]
    public void There_can_be_ten_thousand_caches_each_of_which_is_listed_and_can_be_disposed_of()
    {
        const int Count = 10_000;
        List<SlabCache> caches = [];
        try
        {
            for (int i = 0; i < Count; i++) caches.Add(new SlabCache($"many-{i}", (nuint)(16 * (i % 1000 + 1))));
            using StringWriter report = new();
            AllocatorReport.WriteSlabInfo(report);
            HashSet<string> listed = [.. report.ToString().Split('\n').Select(line => line.Split(' ')[0])];
            Assert.All(caches, cache => Assert.Contains(cache.Name, listed));
            // Some with magazines, some without, and the last.
            SlabCache[] used = [.. caches.Where((_, i) => i % 97 == 0 || i is 143 or 144 or Count - 1)];
            nint[] objects = [.. used.Select(cache => (nint)cache.Alloc())];
            Assert.Equal(used.Length, objects.Distinct().Count());
            for (int i = 0; i < used.Length; i++)
                Assert.Equal(used[i].ObjectSize, NativeAllocator.UsableSize((void*)objects[i]));
            NativeAllocator.Verify();
            InvalidOperationException error = Assert.Throws<InvalidOperationException>(caches[Count - 1].Dispose);
            Assert.Contains(" 1 ", error.Message, StringComparison.Ordinal);
            for (int i = 0; i < used.Length; i += 2) used[i].Free((void*)objects[i]);
            for (int i = 1; i < used.Length; i += 2) NativeAllocator.Free((void*)objects[i]);
            NativeAllocator.Verify();
        }
        finally
        {
            foreach (SlabCache cache in caches) cache.Dispose();
        }
        Assert.DoesNotContain(CacheChain.All(), cache => cache.Name.StartsWith("many-", StringComparison.Ordinal));
    }

    [Fact]
    public void There_are_indexes_for_as_many_caches_as_the_documentation_says()
    {
        Assert.Equal(WithMagazines, CacheTable.WideClass - CacheTable.FirstUserCache);
        Assert.Equal(65_424, CacheTable.MaxUserCaches);
    }

    [Fact]
    public void A_cache_that_is_one_too_many_for_a_class_of_its_own_has_no_magazines_and_works()
    {
        List<SlabCache> narrow = [];
        try
        {
            while (narrow.Count < WithMagazines) narrow.Add(new SlabCache("narrow", 64));
            using SlabCache wide = new("wide", 200), another = new("another", 200), twoPages = new("two-pages", 44_000);
            byte* one = (byte*)wide.Alloc(), two = (byte*)another.Alloc(), last = null;
            nuint page = LinearRegion.PageIndexOf(one);
            Assert.Equal(CacheTable.WideClass, LinearRegion.ClassOf(page));
            Assert.NotEqual(CacheTable.CacheOfPage(page)->Index, CacheTable.CacheOfPage(PageOf((nint)two))->Index);
            Assert.Throws<ArgumentException>(() => wide.Free(two));
            Assert.Throws<ArgumentException>(() => wide.Free(one + 16));
            Assert.Throws<ArgumentException>(() => NativeAllocator.Free(one + 16));
            Assert.True(NativeAllocator.Owns(one));
            wide.Free(one);
            Assert.Equal(0, CacheFigures.Of(CacheTable.CacheOfPage(LinearRegion.PageIndexOf(two))->Index).InMagazines);
            TestThread.RunOnNew(() => NativeAllocator.Free(two));
            // An object on a page that is not its slab's first.
            nint[] objects = AllocAll(twoPages, 8);
            foreach (nint each in objects)
            {
                last = (byte*)each;
                Assert.Equal((nuint)44_000, NativeAllocator.UsableSize(last));
            }
            Assert.Contains(objects,
                each => PageOf(each) != CacheTable.CacheOfPage(PageOf(each))->SlabOf(PageOf(each)));
            foreach (nint each in objects) NativeAllocator.Free((void*)each);
            narrow[0].Dispose();
            narrow[0] = new SlabCache("again", 64); // takes the index that has become free
            void* small = narrow[0].Alloc();
            Assert.NotEqual(CacheTable.WideClass, LinearRegion.ClassOf(LinearRegion.PageIndexOf(small)));
            narrow[0].Free(small);
            NativeAllocator.Verify();
        }
        finally
        {
            foreach (SlabCache cache in narrow) cache.Dispose();
        }
    }

    [Theory]
    [InlineData(BadFrees.CacheTwiceThenShrink, "double free")]
    [InlineData(BadFrees.CacheTwiceThenDispose, "double free")]
    [InlineData(BadFrees.CacheInterior, "not the beginning")]
    public void A_wrong_free_that_shows_only_later_ends_the_process(string mistake, string words)
    {
        ChildProcess child = ChildProcess.RunHost(BadFrees.Name, mistake);
        Assert.NotEqual(0, child.ExitCode);
        Assert.Contains(words, child.Errors, StringComparison.Ordinal);
        Assert.Contains($" {child.Output.Trim()} ", child.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void The_same_steps_without_the_mistake_end_well()
    {
        Assert.Equal("", ChildProcess.RunHost(BadFrees.Name, BadFrees.CacheClean).ShouldSucceed().Errors);
    }

    [Fact]
    public void Every_size_that_a_cache_can_have_has_slabs_that_hold_it_and_addresses_that_lead_to_it()
    {
        for (nuint bytes = 16; bytes <= LargestObject; bytes += 16)
        {
            uint pages = SizeClasses.SlabPagesOf(bytes);
            if (pages > 15)
                Assert.Fail(
                    $"a slab of {bytes} B objects has {pages} pages, and an offset in it can no longer be divided by " +
                    "multiplication");
            ObjectCache cache = default;
            CacheNode node = default;
            cache.Initialize(CacheTable.FirstUserCache, CacheTable.WideClass, CacheTable.WideClass, bytes, default, 0,
                &node);
            if (cache.ObjectsPerSlab is 0 or > LinearRegion.BitmapWords * 64)
                Assert.Fail($"{cache.ObjectsPerSlab} objects of {bytes} B");
            uint last = cache.ObjectsPerSlab - 1;
            foreach (uint each in (uint[])[0, last / 3, last / 2, last])
            {
                nuint offset = each * bytes;
                if (cache.ObjectIndexOf(offset) != each || cache.ObjectIndexOf(offset + bytes - 1) != each)
                    Assert.Fail($"object {each} of {bytes} B");
            }
        }
    }

    private static nint[] AllocAll(SlabCache cache, int count)
    {
        nint[] objects = new nint[count];
        for (int i = 0; i < count; i++) objects[i] = (nint)cache.Alloc();
        return objects;
    }

    private static uint PageOf(nint each) => (uint)LinearRegion.PageIndexOf((void*)each);

    private static ObjectCache* CacheOf(nint each) =>
        CacheTable.CacheAt(CacheTable.IndexOfSide(LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)each))));

    private struct TooLarge
    {
        private fixed byte _bytes[524_289];
    }
}
