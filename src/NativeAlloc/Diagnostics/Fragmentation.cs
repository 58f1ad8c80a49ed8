using System.Globalization;
using NativeAlloc.Pages;
using NativeAlloc.Profiling;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// Which code's blocks keep slabs from going back that are nearly empty. A sample itself lies in a slab of samples;
/// what counts is the slab that it would lie in otherwise, as what was allocated with it is there.
/// </summary>
internal static unsafe class Fragmentation
{
    /// <summary>What the blocks of one stack hold back.</summary>
    /// <param name="Frames">From the innermost on.</param>
    /// <param name="LiveBytes">Bytes of its live blocks.</param>
    /// <param name="HeldBackBytes">Free bytes of their slabs, shared by all live blocks of each slab.</param>
    internal sealed record Row(ProfileFrame[] Frames, long LiveBytes, long HeldBackBytes);

    /// <summary>A row for each stack whose blocks lie in slabs; those that hold back the most first.</summary>
    internal static List<Row> Read(out int count)
    {
        Dictionary<string, Row> rows = [];
        SampleRecord[] samples = new SampleRecord[AllocationSampler.CopyAtOnce];
        count = 0;
        for (int first = 0, copied; (copied = AllocationSampler.CopySamples(first, samples)) != 0; first += copied)
        {
            foreach (SampleRecord sample in samples.AsSpan(0, copied))
            {
                if (sample.Address == 0 || sample.Witness == 0) continue;
                count++;
                ProfileFrame[] frames = StackNames.Of(sample.Stack);
                string key = Profile.KeyOf(frames);
                Row row = rows.GetValueOrDefault(key, new Row(frames, 0, 0));
                long heldBack = (long)(sample.Weight.Blocks * HeldBackBy(sample));
                rows[key] = row with
                {
                    LiveBytes = row.LiveBytes + sample.Weight.Bytes,
                    HeldBackBytes = row.HeldBackBytes + heldBack,
                };
            }
        }
        return [.. rows.Values.OrderByDescending(static row => row.HeldBackBytes)];
    }

    internal static void Write(TextWriter writer, int rows)
    {
        List<Row> all = Read(out int count);
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"fragmentation: {TopWriter.Size(all.Sum(static row => row.HeldBackBytes))} free in slabs that live " +
            $"blocks keep, estimated from {count} samples of {all.Count} stacks"));
        writer.WriteLine($"{"held back",12} {"live bytes",12} {"full",6}  stack");
        foreach (Row row in all.Take(rows))
        {
            double full = 100.0 * row.LiveBytes / Math.Max(1, row.LiveBytes + row.HeldBackBytes);
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{TopWriter.Size(row.HeldBackBytes),12} {TopWriter.Size(row.LiveBytes),12} {full,4:F0} %  " +
                $"{TopWriter.NameOf(row.Frames, 0)}"));
            TopWriter.WriteCallers(writer, row.Frames, indent: 36);
        }
    }

    // 0 where the slab has gone, or is another class's now.
    private static double HeldBackBy(in SampleRecord sample)
    {
        ObjectCache* own = CacheTable.CacheOfPage(LinearRegion.PageIndexOf((void*)sample.Address));
        return own == null ? 0 : HeldBackOn(sample.Witness - 1, own->ObjectBytes);
    }

    /// <summary>
    /// Free bytes of the slab that a page is of, for each of its live objects; 0 where it is no slab of such objects.
    /// </summary>
    internal static double HeldBackOn(uint page, uint objectBytes)
    {
        ObjectCache* cache = page < LinearRegion.OnlinePages ? CacheTable.CacheOfPage(page) : null;
        if (cache == null || cache->ObjectBytes != objectBytes) return 0;
        uint free = Volatile.Read(ref LinearRegion.Frames[cache->SlabOf(page)].FreeObjects),
            live = cache->ObjectsPerSlab - Math.Min(free, cache->ObjectsPerSlab);
        return live == 0 ? 0 : (double)free * cache->ObjectBytes / live;
    }
}
