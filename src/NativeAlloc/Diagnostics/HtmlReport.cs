using System.Text;
using System.Text.Json;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The state of the allocator as one HTML page that needs nothing else: the map of the heap, fragmentation by order,
/// areas, caches, stacks of the profiler; and, if asked for, all figures and the reports as text.
/// </summary>
internal static class HtmlReport
{
    private const int MostRows = 25;

    /// <param name="writer">Where to.</param>
    /// <param name="texts">Reports that are to stand below, by their names; none for the map alone.</param>
    internal static void Write(TextWriter writer, params (string Name, Action<TextWriter> Write)[] texts)
    {
        writer.Write(HtmlPage.Head);
        writer.Write(Encoding.UTF8.GetString(MakeData(texts)));
        writer.Write(HtmlPage.Tail);
    }

    // The writer of JSON escapes what could end the script that the data stands in.
    private static byte[] MakeData((string Name, Action<TextWriter> Write)[] texts)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            HeapMap map = HeapMap.Read();
            AllocatorStatistics statistics = NativeAllocator.GetStatistics();
            json.WriteStartObject();
            json.WriteNumber("pageBytes", (long)PageGeometry.PageBytes);
            json.WriteNumber("pagesPerCell", map.PagesPerCell);
            json.WriteBase64String("kinds", map.Kinds);
            json.WriteBase64String("used", map.Used);
            json.WritePropertyName("areas");
            HeapMap.WriteAreas(json);
            WriteFigures(json, statistics);
            WriteHistory(json, texts.Length == 0 ? [] : History.Read());
            WriteOrders(json, statistics);
            WriteCaches(json);
            WriteStacks(json);
            json.WriteStartObject("texts");
            foreach ((string name, Action<TextWriter> write) in texts) WriteText(json, name, write);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        return stream.ToArray();
    }

    private static void WriteFigures(Utf8JsonWriter json, AllocatorStatistics statistics)
    {
        json.WriteStartArray("figures");
        foreach (Figure<AllocatorStatistics> figure in StatisticsTable.All)
        {
            json.WriteStartArray();
            json.WriteStringValue(figure.Name);
            json.WriteNumberValue(figure.Read(statistics));
            json.WriteStringValue(figure.Unit.ToString());
            json.WriteStringValue(figure.Meaning);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    // Seconds before the last sample, and the bytes.
    private static void WriteHistory(Utf8JsonWriter json, HistorySample[] samples)
    {
        json.WriteStartArray("history");
        foreach (HistorySample sample in samples)
        {
            json.WriteStartArray();
            json.WriteNumberValue((samples[^1].Milliseconds - sample.Milliseconds) / 1000.0);
            json.WriteNumberValue(sample.Resident);
            json.WriteNumberValue(sample.Live);
            json.WriteNumberValue(sample.Cached);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void WriteOrders(Utf8JsonWriter json, AllocatorStatistics statistics)
    {
        json.WriteStartArray("orders");
        for (int order = 0; order <= PageAllocator.MaxOrder; order++)
            json.WriteNumberValue(statistics.Zones.Sum(zone => zone.FreeBlocks(order)));
        json.WriteEndArray();
    }

    private static void WriteCaches(Utf8JsonWriter json)
    {
        json.WriteStartArray("caches");
        foreach (NamedCache cache in NamedCache.ReadAll().Take(MostRows))
        {
            CacheReport figures = cache.Figures;
            json.WriteStartArray();
            json.WriteStringValue(cache.Label);
            json.WriteNumberValue(cache.Bytes);
            json.WriteNumberValue((figures.Active - figures.Cached) * figures.ObjectBytes);
            json.WriteNumberValue(figures.Slabs);
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void WriteStacks(Utf8JsonWriter json)
    {
        json.WriteStartArray("stacks");
        foreach (ProfileStack stack in Profile.Read().Stacks.Where(stack => stack.Live.Bytes > 0).Take(MostRows))
        {
            json.WriteStartArray();
            json.WriteNumberValue(stack.Live.Bytes);
            json.WriteNumberValue(stack.Live.Blocks);
            json.WriteStringValue(string.Join('\n',
                stack.Frames.Select((_, level) => TopWriter.NameOf(stack.Frames, level))));
            json.WriteEndArray();
        }
        json.WriteEndArray();
    }

    private static void WriteText(Utf8JsonWriter json, string name, Action<TextWriter> write)
    {
        using StringWriter text = new();
        write(text);
        json.WriteString(name, text.ToString());
    }
}
