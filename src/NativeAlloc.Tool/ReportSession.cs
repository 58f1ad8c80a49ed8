using System.Diagnostics.Tracing;
using System.Net.Sockets;
using Microsoft.Diagnostics.NETCore.Client;
using Microsoft.Diagnostics.Tracing;

namespace NativeAlloc.Tool;

/// <summary>
/// Gets reports out of a process: a session of its diagnostics port enables the event source <c>NativeAlloc</c> and
/// names the report, and the library writes it as events, part by part.
/// </summary>
/// <param name="processId">The process.</param>
/// <param name="patience">How long it may be silent. The library makes its event source a second after its first
/// allocation.</param>
internal sealed class ReportSession(int processId, TimeSpan patience)
{
    private const string Source = "NativeAlloc", Event = "Report", Figures = "figures";

    private const long FiguresKeyword = 64, ReportsKeyword = 128;

    private const int BufferMegabytes = 64;

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
    /// <exception cref="ToolException">The process gives none, or no more of them.</exception>
    internal void Watch(Func<string, bool> show)
    {
        bool any = false;
        bool isDone = Run(FiguresKeyword, Figures, null, text =>
        {
            any = true;
            return show(text);
        });
        if (!any) ThrowSilent();
        if (!isDone) throw new ToolException($"Process {processId} has ended, or answers no more.");
    }

    // The handler gets the report each time that it is whole, and says whether to go on. The result is false where it
    // never said no: the process ended or fell silent before. Only parts of this report keep the session going: the
    // process writes other events as long as somebody listens.
    private bool Run(long keyword, string report, Dictionary<string, string>? arguments, Func<string, bool> handle)
    {
        _parts.Clear();
        bool ended = false;
        try
        {
            using EventPipeSession session = Start(new(Source, EventLevel.Informational, keyword, arguments));
            using Timer watchdog = new(_ => Stop(session), null, patience, Timeout.InfiniteTimeSpan);
            using EventPipeEventSource source = new(session.EventStream);
            Task stopping = Task.CompletedTask;
            source.Dynamic.All += e =>
            {
                if (ended || e.ProviderName != Source || e.EventName != Event
                    || (string)e.PayloadByName("name") != report) return;
                watchdog.Change(patience, Timeout.InfiniteTimeSpan);
                if (!TryJoin(e, out string text) || handle(text)) return;
                ended = true;
                // The process ends the session when all that it has written is read, and that is done on this thread.
                stopping = Task.Run(() => Stop(session));
            };
            Read(source, session, ref ended);
            stopping.Wait(); // a session that begins before would be taken for ended with this one
        }
        catch (Exception error) when (IsOfPort(error) || error is UnauthorizedAccessException)
        {
            string reason = error is OperationCanceledException ? "it does not answer. Is it stopped?" : error.Message;
            throw new ToolException($"Process {processId} cannot be asked: {reason}");
        }
        return ended;
    }

    // A process that is stopped takes the question and never answers.
    private EventPipeSession Start(EventPipeProvider provider)
    {
        using CancellationTokenSource end = new(patience);
        return new DiagnosticsClient(processId).StartEventPipeSessionAsync([provider], requestRundown: false,
            BufferMegabytes, end.Token).GetAwaiter().GetResult();
    }

    private void Read(EventPipeEventSource source, EventPipeSession session, ref bool ended)
    {
        try
        {
            source.Process();
        }
        catch (Exception error) when (ended || error is FormatException or ObjectDisposedException
            or IOException { InnerException: SocketException })
        {
            // The stream broke off: the process was killed, or Stop has closed it.
        }
        finally
        {
            Stop(session); // if nobody has: to dispose of the session would do it, without an end to its patience
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

    private void Stop(EventPipeSession session)
    {
        try
        {
            using CancellationTokenSource end = new(patience);
            session.StopAsync(end.Token).GetAwaiter().GetResult();
        }
        catch (Exception error) when (IsOfPort(error) || error is ObjectDisposedException)
        {
            session.EventStream.Dispose(); // the process has ended or is stopped, and who reads is not left waiting
        }
    }

    // What the diagnostics port of a process that ends, is stopped, or is another user's makes of a call.
    private static bool IsOfPort(Exception error) => error is DiagnosticsClientException or IOException
        or TimeoutException or SocketException or OperationCanceledException;

    private void ThrowSilent() => throw new ToolException(_parts.Count != 0
        ? $"Process {processId} does not end its answer: a part of it was lost. Try again."
        : $"Process {processId} does not answer. It references NativeAlloc? It has allocated from it, and its decay is "
            + "not switched off?");
}
