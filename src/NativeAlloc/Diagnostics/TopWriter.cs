using System.Globalization;

namespace NativeAlloc.Diagnostics;

/// <summary>The profile as text: a row for each stack, with the methods below it.</summary>
internal static class TopWriter
{
    private const int MostFrames = 12;

    internal static void Write(TextWriter writer, Profile profile, int rows)
    {
        long live = profile.LiveBytes;
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"live: {Size(live)} estimated, {profile.Stacks.Count} stacks; since the start: " +
            $"{Size(profile.TotalBytes)}"));
        writer.WriteLine(
            $"{"live bytes",12} {"%",5} {"live blocks",12} {"total bytes",12} {"total blocks",12}  stack");
        foreach (ProfileStack stack in profile.Stacks.Take(rows))
        {
            double percent = live == 0 ? 0 : 100.0 * stack.Live.Bytes / live;
            writer.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{Size(stack.Live.Bytes),12} {percent,5:F1} {stack.Live.Blocks,12} {Size(stack.Total.Bytes),12} " +
                $"{stack.Total.Blocks,12}  {NameOf(stack.Frames, 0)}"));
            WriteCallers(writer, stack.Frames, indent: 60);
        }
    }

    /// <summary>The levels of a stack below the first, a line each.</summary>
    internal static void WriteCallers(TextWriter writer, ProfileFrame[] frames, int indent)
    {
        string space = new(' ', indent);
        for (int i = 1; i < Math.Min(frames.Length, MostFrames); i++)
            writer.WriteLine($"{space}{NameOf(frames, i)}");
        if (frames.Length > MostFrames) writer.WriteLine($"{space}and {frames.Length - MostFrames} more");
    }

    /// <summary>A level with its file and line, where they are known.</summary>
    internal static string NameOf(ProfileFrame[] frames, int level)
    {
        if (level >= frames.Length) return "[unknown]";
        ProfileFrame frame = frames[level];
        return frame.File == null
            ? frame.Method
            : string.Create(CultureInfo.InvariantCulture, $"{frame.Method} in {frame.File}:{frame.Line}");
    }

    /// <summary>Bytes in the largest unit that leaves a whole number before the point.</summary>
    internal static string Size(long bytes) => Math.Abs(bytes) switch
    {
        < 1 << 10 => string.Create(CultureInfo.InvariantCulture, $"{bytes} B"),
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 10):F1} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 20):F1} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / (double)(1 << 30):F2} GiB"),
    };
}
