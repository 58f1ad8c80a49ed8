using System.Globalization;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>WriteSlabInfo</c> has the columns of <c>/proc/slabinfo</c> 2.1, that its figures fit each other and
/// what was done, and that caches come into it and go.
/// </summary>
public sealed unsafe class SlabInfoTests : LeakCheckedTests
{
    [Fact]
    public void Every_line_has_the_columns_of_version_2_1_and_figures_that_fit_each_other()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(1000));
        Dictionary<string, Row> rows = Read();
        Assert.True(rows.Count >= SizeClasses.Count - 1 + CacheTable.MagazineCaches);
        for (int index = 1; index < SizeClasses.Count; index++)
        {
            Row row = rows[$"size-{SizeClasses.BytesOf(index)}"];
            Assert.Equal((long)SizeClasses.BytesOf(index), row.ObjectBytes);
            Assert.Equal(row.PagesPerSlab * 65_536 / row.ObjectBytes, row.ObjectsPerSlab);
            Assert.Equal(row.ObjectBytes > 32_768 ? 0 : Math.Clamp(16_384 / row.ObjectBytes, 2, 255), row.Limit);
        }
        foreach (int bytes in (int[])[512, 1024, 2048])
        {
            Row row = rows[$"magazine-{bytes}"];
            Assert.Equal((bytes, 0), (row.ObjectBytes, row.Limit));
        }
        foreach (Row row in rows.Values)
        {
            Assert.Equal(row.Slabs * row.ObjectsPerSlab, row.Objects);
            Assert.InRange(row.Active, 0, row.Objects);
            Assert.InRange(row.ActiveSlabs, 0, row.Slabs);
            Assert.True(row.Active <= row.ActiveSlabs * row.ObjectsPerSlab, $"{row}");
            Assert.InRange(row.Cached, row.InDepot, row.Active);
            Assert.Equal(row.Limit, row.Batch);
            Assert.True(row.Hits >= 0 && row.Misses >= 0 && row.Refills >= 0 && row.Drains >= 0, $"{row}");
        }
    }

    [Fact]
    public void A_cache_of_ones_own_is_in_it_while_it_exists_with_the_figures_of_what_was_done()
    {
        Assert.DoesNotContain("sessions", Read().Keys);
        SlabCache cache = new("sessions", 1000); // 1008 bytes, 65 to a slab, 16 to a magazine
        Row row = Read()["sessions"];
        Assert.Equal(new Row("sessions", 0, 0, 1008, 65, 1, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0), row);

        nint[] objects = new nint[100];
        for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache.Alloc();
        row = Read()["sessions"];
        Assert.Equal((130, 2, 2), (row.Objects, row.Slabs, row.ActiveSlabs));
        Assert.Equal(100, row.Active - row.Cached); // what users hold
        Assert.InRange(row.Cached, 0, 16);
        Assert.InRange(row.Refills, 7, 20); // at most 16 at a time
        Assert.Equal((0L, 0L), (row.Drains, row.InDepot));
        Assert.Equal((0, true), (row.Hits, row.Misses >= 7));

        foreach (nint each in objects) cache.Free((void*)each);
        row = Read()["sessions"];
        Assert.Equal(row.Active, row.Cached);
        // two magazines, and the one that a depot keeps from its first user on
        Assert.InRange(row.Cached, 16, 32 + row.InDepot);
        Assert.True(row.Drains > 0);
        long refills = row.Refills, drains = row.Drains;
        for (int i = 0; i < 1000; i++) cache.Free(cache.Alloc()); // the fast paths count nothing
        row = Read()["sessions"];
        Assert.Equal((refills, drains), (row.Refills, row.Drains));

        cache.Shrink();
        row = Read()["sessions"];
        Assert.Equal((0, 0, 0, 0), (row.Active, row.Objects, row.Slabs, row.Cached));
        Assert.True(row.Drains > drains);
        cache.Dispose();
        Assert.DoesNotContain("sessions", Read().Keys);
    }

    [Fact]
    public void What_waits_in_a_depot_and_who_finds_it_there_is_counted()
    {
        using SlabCache cache = new("passing", 1000);
        using TestThread other = new();
        nint[] objects = new nint[320];
        for (int round = 0; round < 6; round++)
        {
            for (int i = 0; i < objects.Length; i++) objects[i] = (nint)cache.Alloc();
            other.Run(() =>
            {
                foreach (nint each in objects) cache.Free((void*)each);
            });
        }
        Row row = Read()["passing"];
        Assert.True(row.SharedFactor > 0, "the depot's limit has not grown");
        // A magazine has 16 objects as long as one thread is alone, and up to 63 since there were two, by how many
        // threads there are. Each of the two threads holds magazines of its own beside those in the depot, and fills
        // them with objects beyond the ones that went round. So the depot can hold more objects than went round.
        Assert.InRange(row.InDepot, 16, row.Cached);
        Assert.True(row.Hits > 0, "nobody found a magazine in the depot");
        Assert.Equal(row.Cached, row.Active);
        long misses = row.Misses;
        cache.Shrink(); // asks for no magazine, it only empties
        row = Read()["passing"];
        Assert.Equal((0L, misses), (row.InDepot, row.Misses));
    }

    [Fact]
    public void Names_and_columns_are_separated_whatever_the_length_of_a_name()
    {
        string name = new('n', 60);
        using SlabCache cache = new(name, 524_288), shorter = new("n", 1);
        Dictionary<string, Row> rows = Read();
        Assert.Equal(524_288, rows[name].ObjectBytes);
        Assert.Equal(16, rows["n"].ObjectBytes);
    }

    [Fact]
    public void There_must_be_a_writer() =>
        Assert.Throws<ArgumentNullException>(() => AllocatorReport.WriteSlabInfo(null!));

    private static Dictionary<string, Row> Read()
    {
        using StringWriter writer = new(CultureInfo.InvariantCulture);
        AllocatorReport.WriteSlabInfo(writer);
        string[] lines = writer.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("slabinfo - version: 2.1", lines[0].Trim());
        Assert.StartsWith(
            "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> " +
            "<batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>", lines[1],
            StringComparison.Ordinal);
        return lines[2..].Select(Row.Parse).ToDictionary(row => row.Name);
    }

    private sealed record Row(
        string Name, long Active, long Objects, long ObjectBytes, long ObjectsPerSlab, long PagesPerSlab, long Limit,
        long Batch, long SharedFactor,
        long ActiveSlabs, long Slabs, long InDepot, long Cached, long Hits, long Misses, long Refills, long Drains)
    {
        internal static Row Parse(string line)
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            Assert.Equal(23, words.Length);
            Assert.Equal([":", "tunables"], words[6..8]);
            Assert.Equal([":", "slabdata"], words[11..13]);
            Assert.Equal([":", "magstat"], words[16..18]);
            return new Row(words[0], Number(1), Number(2), Number(3), Number(4), Number(5), Number(8), Number(9),
                Number(10), Number(13), Number(14), Number(15), Number(18), Number(19), Number(20), Number(21),
                Number(22));

            long Number(int column) => long.Parse(words[column], NumberStyles.None, CultureInfo.InvariantCulture);
        }
    }
}
