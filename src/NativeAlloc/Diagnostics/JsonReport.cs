using System.Text.Json;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The statistics as one JSON object: the version, each figure under its name, then units and kinds by the same names,
/// the zones, and the slab caches. Names of figures are those of the code; all others begin with a small letter.
/// </summary>
internal static class JsonReport
{
    internal static void Write(Stream stream)
    {
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        using Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteNumber("version", StatisticsTable.Version);
        WriteFigures(json, StatisticsTable.All, statistics);
        WriteNotes(json, "units", unit: true);
        WriteNotes(json, "kinds", unit: false);
        json.WriteStartArray("zones");
        foreach (ZoneStatistics zone in statistics.Zones) WriteZone(json, zone);
        json.WriteEndArray();
        json.WriteStartArray("caches");
        foreach ((int index, string name) in CacheChain.All())
        {
            if (CacheReport.ReadOrNull(index) is not { } cache) continue; // gone meanwhile
            json.WriteStartObject();
            json.WriteString("name", name);
            WriteFigures(json, StatisticsTable.Caches, cache);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteZone(Utf8JsonWriter json, ZoneStatistics zone)
    {
        json.WriteStartObject();
        json.WriteNumber("node", zone.Node);
        json.WriteString("zone", zone.Zone.ToString());
        WriteFigures(json, StatisticsTable.Zones, zone);
        json.WriteStartObject("freeBlocks"); // by migrate type, then by order
        foreach ((PageFlags type, string name) in ZoneStatistics.MigrateTypes)
        {
            json.WriteStartArray(name.ToLowerInvariant());
            for (int order = 0; order <= PageAllocator.MaxOrder; order++)
                json.WriteNumberValue(zone.FreeBlocks(order, type));
            json.WriteEndArray();
        }
        json.WriteEndObject();
        json.WriteStartObject("pageblocks");
        foreach ((PageFlags type, string name) in ZoneStatistics.MigrateTypes)
            json.WriteNumber(name.ToLowerInvariant(), zone.Pageblocks(type));
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteFigures<T>(Utf8JsonWriter json, Figure<T>[] figures, T snapshot)
    {
        foreach (Figure<T> figure in figures) json.WriteNumber(figure.Name, figure.Read(snapshot));
    }

    // What is said of each figure, by its name: its unit, or its kind.
    private static void WriteNotes(Utf8JsonWriter json, string name, bool unit)
    {
        json.WriteStartObject(name);
        WriteNotes(json, StatisticsTable.All, unit);
        json.WriteStartObject("zones");
        WriteNotes(json, StatisticsTable.Zones, unit);
        json.WriteEndObject();
        json.WriteStartObject("caches");
        WriteNotes(json, StatisticsTable.Caches, unit);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteNotes<T>(Utf8JsonWriter json, Figure<T>[] figures, bool unit)
    {
        foreach (Figure<T> figure in figures)
            json.WriteString(figure.Name, (unit ? (Enum)figure.Unit : figure.Kind).ToString().ToLowerInvariant());
    }
}
