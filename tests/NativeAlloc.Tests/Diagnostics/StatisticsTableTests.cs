using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using NativeAlloc.Diagnostics;
using NativeAlloc.Slabs;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Shows that every figure is declared once and whole: its row, its property, what is said of that, and its line in the
/// docs go together.
/// </summary>
public sealed partial class StatisticsTableTests
{
    [Fact]
    public void Every_figure_has_its_property_and_every_property_its_figure()
    {
        Assert.Equal(NumbersOf<AllocatorStatistics>(BindingFlags.Public),
            StatisticsTable.All.Select(figure => figure.Name));
        // which zone is no figure of it
        Assert.Equal(NumbersOf<ZoneStatistics>(BindingFlags.Public).Where(name => name != nameof(ZoneStatistics.Node)),
            StatisticsTable.Zones.Select(figure => figure.Name));
        Assert.Equal(NumbersOf<CacheReport>(BindingFlags.NonPublic).Order(),
            StatisticsTable.Caches.Select(figure => figure.Name).Order());
    }

    [Fact]
    public void A_figure_reads_its_own_property_and_its_name_says_its_unit()
    {
        AssertOwn(StatisticsTable.All);
        AssertOwn(StatisticsTable.Zones);
        AssertOwn(StatisticsTable.Caches);
    }

    [Fact]
    public void A_property_is_explained_in_the_words_of_the_table()
    {
        string file = Path.ChangeExtension(typeof(NativeAllocator).Assembly.Location, ".xml");
        Dictionary<string, string> summaries = XDocument.Load(file).Descendants("member").ToDictionary(member =>
            (string)member.Attribute("name")!, member => (string?)member.Element("summary") ?? "");
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
            Assert.Equal(figure.Meaning,
                Spaces().Replace(summaries[$"P:{typeof(AllocatorStatistics).FullName}.{figure.Name}"].Trim(), " "));
    }

    [Fact]
    public void The_page_of_the_docs_is_the_table() => GeneratedPage.ShouldBe("statistics.md",
    [
        "# Statistics",
        "",
        "<!-- Made from src/NativeAlloc/Diagnostics/StatisticsTable.cs by a test; change it there. -->",
        "",
        "`NativeAllocator.GetStatistics()` gives the figures below as properties, " +
        "`AllocatorReport.WriteJson(stream)` all of this",
        "page as one JSON object: `version`, each figure under its name, `units` and `kinds` with what each is by the" +
        " same",
        "name, `zones` and `caches` as arrays. The version is that of the names and meanings: it stays where one is " +
        "added.",
        "`AllocatorReport.WritePrometheus(writer)` writes the same for Prometheus: `LiveBytes` is " +
        "`nativealloc_live_bytes`,",
        "`PurgedBytes`, a counter, `nativealloc_purged_bytes_total`; those of a zone begin with `nativealloc_zone_`, " +
        "those of a",
        "cache with `nativealloc_cache_`. The `Meter` named `NativeAlloc` has the first table: `LiveBytes` is",
        "`nativealloc.memory.live` in bytes, `LiveBlocks` is `nativealloc.live_blocks`.",
        "",
        "Threads go on while the figures are read, so they need not fit each other to the byte. A counter is counted " +
        "from the",
        "beginning of the process.",
        "",
        .. Table(StatisticsTable.All),
        "",
        "## Zones",
        "",
        "`GetStatistics().Zones`, and `zones` in JSON: one for each node and kind of memory that has pages (`node`, " +
        "`zone`), with",
        "its free blocks by migrate type and order (`freeBlocks`) and its pageblocks by migrate type (`pageblocks`). " +
        "A page is 64",
        "KiB.",
        "",
        .. Table(StatisticsTable.Zones),
        "",
        "## Slab caches",
        "",
        "`caches` in JSON, one for each cache with its `name`; the columns of `AllocatorReport.WriteSlabInfo`.",
        "",
        .. Table(StatisticsTable.Caches),
    ]);

    private static IEnumerable<string> Table<T>(Figure<T>[] figures) =>
        GeneratedPage.List(figures.Select(figure => (figure.Name,
            (string[])[figure.Unit.ToString().ToLowerInvariant(), figure.Kind.ToString().ToLowerInvariant()],
            figure.Meaning)));

    private static IEnumerable<string> NumbersOf<T>(BindingFlags visibility) =>
        typeof(T).GetProperties(BindingFlags.Instance | visibility)
        .Where(property => property.PropertyType.IsPrimitive)
        .Select(property => property.Name);

    private static void AssertOwn<T>(Figure<T>[] figures)
    {
        for (int i = 0; i < figures.Length; i++)
        {
            // A snapshot of which only this property is not 0.
            PropertyInfo property = typeof(T).GetProperty(figures[i].Name,
                BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)!;
            object snapshot = RuntimeHelpers.GetUninitializedObject(typeof(T));
            FieldInfo field = typeof(T).GetField($"<{property.Name}>k__BackingField",
                BindingFlags.Instance | BindingFlags.NonPublic)!;
            field.SetValue(snapshot,
                property.PropertyType == typeof(nuint) ? (nuint)7 : Convert.ChangeType(7, property.PropertyType, null));
            int read = property.PropertyType == typeof(bool) ? 1 : 7;
            for (int j = 0; j < figures.Length; j++) Assert.Equal(i == j ? read : 0, figures[j].Read((T)snapshot));

            Assert.Equal(figures[i].Name.EndsWith("Bytes", StringComparison.Ordinal),
                figures[i].Unit == FigureUnit.Bytes);
            Assert.Equal(figures[i].Name.EndsWith("Pages", StringComparison.Ordinal),
                figures[i].Unit == FigureUnit.Pages);
            Assert.EndsWith(".", figures[i].Meaning, StringComparison.Ordinal);
        }
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
