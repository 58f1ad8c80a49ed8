using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Tracing;
using System.Text;

namespace NativeAlloc.Diagnostics;

/// <content>
/// Reports for the tool <c>nativealloc</c>. Who enables the source names one in the argument <c>Report</c>; it comes as
/// events, part by part. With the keyword <c>Figures</c> the figures come once a second.
/// </content>
internal sealed unsafe partial class AllocatorEventSource
{
    private const string Argument = "Report", FiguresName = "figures", FillerName = "filler";

    private const int FiguresMilliseconds = 1000;

    // An event has at most 64 KiB.
    private const int PartCharacters = 8000;

    /// <summary>Reports that were asked for and are not written yet. Any thread.</summary>
    private readonly ConcurrentQueue<string> _asked = new();

    /// <summary>When the figures are due again. Only for the thread that writes.</summary>
    private long _figuresDue;

    /// <summary>A part of a report.</summary>
    [Event(11, Keywords = Keywords.Figures | Keywords.Reports, Level = EventLevel.Informational)]
    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Texts and numbers have nothing to trim.")]
    public void Report(string name, int part, int parts, string text)
    {
        fixed (char* nameStart = name, textStart = text)
        {
            EventData* data = stackalloc EventData[4];
            data[0] = new EventData { DataPointer = (nint)nameStart, Size = (name.Length + 1) * sizeof(char) };
            data[1] = new EventData { DataPointer = (nint)(&part), Size = sizeof(int) };
            data[2] = new EventData { DataPointer = (nint)(&parts), Size = sizeof(int) };
            data[3] = new EventData { DataPointer = (nint)textStart, Size = (text.Length + 1) * sizeof(char) };
            WriteEventCore(11, 4, data);
        }
    }

    [NonEvent]
    private void NoteAsked(EventCommandEventArgs command)
    {
        if (command.Command == EventCommand.Disable || command.Arguments is not { } arguments) return;
        if (arguments.TryGetValue(Argument, out string? name) && name != null) _asked.Enqueue(name);
    }

    [NonEvent]
    private void WriteReports()
    {
        while (_asked.TryDequeue(out string? name)) Write(name, Answer(name));
        // Who reads gets the last part of a report with what follows it, so something follows until nobody listens.
        if (IsEnabled(EventLevel.Informational, Keywords.Reports)) Write(FillerName, "");
        if (!IsEnabled(EventLevel.Informational, Keywords.Figures) || Environment.TickCount64 < _figuresDue) return;
        _figuresDue = Environment.TickCount64 + FiguresMilliseconds;
        Write(FiguresName, Answer("json"));
    }

    [NonEvent]
    private void Write(string name, string text)
    {
        int parts = Math.Max(1, (text.Length + PartCharacters - 1) / PartCharacters);
        for (int part = 0; part < parts; part++)
        {
            int first = part * PartCharacters;
            Report(name, part, parts, text.Substring(first, Math.Min(PartCharacters, text.Length - first)));
        }
    }

    // What goes wrong is the answer: who asks waits for one.
    [NonEvent]
    private static string Answer(string name)
    {
        try
        {
            using StringWriter writer = new();
            using MemoryStream stream = new();
            switch (name)
            {
                case "json": AllocatorReport.WriteJson(stream); return Encoding.UTF8.GetString(stream.ToArray());
                case "html": AllocatorReport.WriteHtmlReport(writer); break;
                case "text": WriteTexts(writer); break;
                case "leaks": LeakReport.Write(writer); break;
                case "fragmentation": AllocationProfiler.WriteFragmentation(writer, rows: 25); break;
                case "top": AllocationProfiler.WriteTop(writer, rows: 25); break;
                case "pprof": AllocationProfiler.WritePprof(stream); return Convert.ToBase64String(stream.ToArray());
                case "speedscope":
                    AllocationProfiler.WriteSpeedscope(stream);
                    return Encoding.UTF8.GetString(stream.ToArray());
                case "profiler-start" when AllocationProfiler.IsRunning: return "running";
                case "profiler-start": AllocationProfiler.Start(); return "started";
                case "profiler-stop": AllocationProfiler.Stop(); return "stopped";
                default: return $"error: this version knows no report '{name}'";
            }
            return writer.ToString();
        }
        catch (Exception error)
        {
            return "error: " + error.Message;
        }
    }

    [NonEvent]
    private static void WriteTexts(TextWriter writer)
    {
        AllocatorReport.WriteSlabInfo(writer);
        AllocatorReport.WriteBuddyInfo(writer);
        AllocatorReport.WritePageTypeInfo(writer);
        AllocatorReport.WriteVmallocInfo(writer);
    }
}
