using System.Diagnostics.Tracing;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that looks like one with the library's event source. Of each report that it is asked for it writes the
/// first of two parts, and fillers from then on, until its standard input ends. To its standard output it writes its
/// process id, and then the name of each report that it is asked for.
/// </summary>
internal static class EndlessReport
{
    internal const string Name = "endless-report";

    internal static int Run()
    {
        using Source source = new();
        Console.WriteLine(Environment.ProcessId);
        while (Console.In.Read() >= 0)
        {
        }
        return 0;
    }

    [EventSource(Name = "NativeAlloc")]
    private sealed class Source : EventSource
    {
        private const int PeriodMilliseconds = 20;

        private Timer? _timer;

        public static class Keywords
        {
            public const EventKeywords Reports = (EventKeywords)128;
        }

        [Event(11, Keywords = Keywords.Reports, Level = EventLevel.Informational)]
        public void Report(string name, int part, int parts, string text) => WriteEvent(11, name, part, parts, text);

        protected override void OnEventCommand(EventCommandEventArgs command)
        {
            if (command?.Arguments is not { } arguments || !arguments.TryGetValue("Report", out string? name)) return;
            Console.WriteLine(name);
            int written = 0; // not here: what is written during the command does not arrive
            _timer = new Timer(_ =>
            {
                if (Interlocked.Increment(ref written) == 1) Report(name!, 0, 2, "the first part");
                Report("filler", 0, 1, "");
            }, null, PeriodMilliseconds, PeriodMilliseconds);
        }

        protected override void Dispose(bool disposing)
        {
            _timer?.Dispose();
            base.Dispose(disposing);
        }
    }
}
