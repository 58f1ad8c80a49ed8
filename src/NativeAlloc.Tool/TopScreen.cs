using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace NativeAlloc.Tool;

/// <summary>The live view: a line of totals, and a row for each cache, as slabtop has them.</summary>
internal sealed class TopScreen(int rows, string sort)
{
    private const double Mebi = 1 << 20;

    private const long PageBytes = 65536;

    private sealed record Row(string Name, long ObjectBytes, long Live, long Cached, long Objects, long Slabs,
        long Bytes);

    private static readonly (char Key, string Name, Func<Row, long> Value)[] s_orders =
    [
        ('b', "bytes", static row => row.Bytes), ('l', "live", static row => row.Live),
        ('c', "cached", static row => row.Cached), ('o', "objects", static row => row.Objects),
        ('s', "size", static row => row.ObjectBytes),
    ];

    private int _order = Math.Max(0, Array.FindIndex(s_orders, order => order.Name == sort));

    /// <summary>What can be sorted by.</summary>
    internal static IEnumerable<string> Orders => s_orders.Select(static order => order.Name);

    /// <summary>Takes a key; false for the one that ends the view.</summary>
    internal bool TryPress(char key)
    {
        if (key == 'q') return false;
        int order = Array.FindIndex(s_orders, order => order.Key == key);
        if (order >= 0) _order = order;
        return true;
    }

    /// <summary>The screen for figures as <c>AllocatorReport.WriteJson</c> writes them.</summary>
    internal Table Draw(string figures)
    {
        using JsonDocument json = JsonDocument.Parse(figures);
        JsonElement root = json.RootElement;
        Table table = new Table().Border(TableBorder.None);
        table.Title($"live {Size(root, "LiveBytes")} in {root.GetProperty("LiveBlocks").GetInt64()} blocks, cached "
            + $"{Size(root, "CachedBytes")}, resident at most {Size(root, "ResidentEstimateBytes")}, limit "
            + Size(root, "LimitBytes"));
        table.Caption("sorted by " + s_orders[_order].Name + "; "
            + string.Join(", ", s_orders.Select(static order => $"{order.Key}: {order.Name}")) + ", q: end");
        foreach (string head in (string[])["OBJ SIZE", "LIVE", "CACHED", "OBJECTS", "SLABS", "MIB"])
            table.AddColumn(new TableColumn(head).RightAligned());
        table.AddColumn("NAME");
        IEnumerable<Row> all = root.GetProperty("caches").EnumerateArray().Select(Read);
        foreach (Row row in all.OrderByDescending(s_orders[_order].Value).Take(rows))
            table.AddRow(Number(row.ObjectBytes), Number(row.Live), Number(row.Cached), Number(row.Objects),
                Number(row.Slabs), (row.Bytes / Mebi).ToString("0.0", CultureInfo.InvariantCulture),
                Markup.Escape(row.Name));
        return table;
    }

    private static Row Read(JsonElement cache)
    {
        long slabs = Get("Slabs"), active = Get("Active"), cached = Get("Cached");
        return new Row(cache.GetProperty("name").GetString()!, Get("ObjectBytes"), Math.Max(0, active - cached), cached,
            Get("Objects"), slabs, slabs * Get("SlabPages") * PageBytes);

        long Get(string name) => cache.GetProperty(name).GetInt64();
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Size(JsonElement root, string name) => string.Create(CultureInfo.InvariantCulture,
        $"{root.GetProperty(name).GetDouble() / Mebi:0.0} MiB");
}
