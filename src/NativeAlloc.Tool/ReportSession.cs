using System.Diagnostics.Tracing;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;

namespace NativeAlloc.Tool;

/// <summary>
/// Gets reports out of a process: a session of its diagnostics port enables the event source <c>NativeAlloc</c> and
/// names the report, and the library writes it as events, part by part.
/// </summary>
internal sealed class ReportSession(int processId)
{
    private const string Source = "NativeAlloc", Event = "Report", Figures = "figures";

    private const long FiguresKeyword = 64, ReportsKeyword = 128;

    private const int BufferMegabytes = 64;

    // The library makes its event source a second after its first allocation.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly SortedDictionary<int, string> _parts = [];

    /// <summary>The text of a report.</summary>
    /// <exception cref="ToolException">There is no answer, or the process could not write the report.</exception>
    internal string Ask(string report)
    {
        string? text = null;
        Run(ReportsKeyword, report, new() { [Event] = report }, answer =>
        {
            text = answer;
            return false;
        });
        if (text == null) ThrowSilent();
        if (text!.StartsWith("error: ", StringComparison.Ordinal)) throw new ToolException(text["error: ".Length..]);
        return text;
    }

    /// <summary>Shows the figures once a second, as long as the answer is true.</summary>
    /// <exception cref="ToolException">The process gives none.</exception>
    internal void Watch(Func<string, bool> show)
    {
        bool any = false;
        Run(FiguresKeyword, Figures, null, text =>
        {
            any = true;
            return show(text);
        });
        if (!any) ThrowSilent();
    }

    // The handler gets the report each time that it is whole, and says whether to go on. Only parts of this report keep
    // the session going: the process writes other events as long as somebody listens.
    private void Run(long keyword, string report, Dictionary<string, string>? arguments, Func<string, bool> handle)
    {
        _parts.Clear();
        try
        {
            EventPipeProvider provider = new(Source, EventLevel.Informational, keyword, arguments);
            using EventPipeSession session = new DiagnosticsClient(processId)
                .StartEventPipeSession([provider], requestRundown: false, BufferMegabytes);
            using EventPipeEventSource source = new(session.EventStream);
            using Timer watchdog = new(_ => Stop(session), null, s_patience, Timeout.InfiniteTimeSpan);
            bool ended = false;
            Task stopping = Task.CompletedTask;
            source.Dynamic.All += e =>
            {
                if (ended || e.ProviderName != Source || e.EventName != Event
                    || (string)e.PayloadByName("name") != report) return;
                watchdog.Change(s_patience, Timeout.InfiniteTimeSpan);
                if (!TryJoin(e, out string text) || handle(text)) return;
                ended = true;
                // The process ends the session when all that it has written is read, and that is done on this thread.
                stopping = Task.Run(() => Stop(session));
            };
            source.Process();
            stopping.Wait(); // a session that begins before would be taken for ended with this one
        }
        catch (Exception error) when (error is DiagnosticsClientException or IOException or TimeoutException
            or UnauthorizedAccessException)
        {
            throw new ToolException($"Process {processId} cannot be asked: {error.Message}");
        }
    }

    // Parts of one report come in order; a lost part makes the report void.
    private bool TryJoin(TraceEvent e, out string text)
    {
        text = "";
        int part = (int)e.PayloadByName("part"), parts = (int)e.PayloadByName("parts");
        if (part == 0) _parts.Clear();
        _parts[part] = (string)e.PayloadByName("text");
        if (_parts.Count != parts) return false;
        text = string.Concat(_parts.Values);
        _parts.Clear();
        return true;
    }

    private static void Stop(EventPipeSession session)
    {
        try
        {
            session.Stop();
        }
        catch (Exception error) when (error is DiagnosticsClientException or IOException or TimeoutException
            or ObjectDisposedException)
        {
            // The process has ended.
        }
    }

    private void ThrowSilent() => throw new ToolException(_parts.Count != 0
        ? $"Process {processId} does not end its answer: a part of it was lost. Try again."
        : $"Process {processId} does not answer. It references NativeAlloc? It has allocated from it, and its decay is "
            + "not switched off?");
}
