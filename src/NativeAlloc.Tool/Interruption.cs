using System.Runtime.InteropServices;

namespace NativeAlloc.Tool;

/// <summary>
/// Ctrl-C, a request to end and the end of the terminal, for a command that has something to put back in order. Until
/// this is disposed of the first of them ends a <see cref="Sleep"/> only; the second ends the process.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly ManualResetEventSlim _came = new();
    private readonly PosixSignalRegistration[] _registrations;

    internal Interruption() =>
        _registrations = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }
            .Select(signal => PosixSignalRegistration.Create(signal, Note))];

    /// <summary>Waits.</summary>
    /// <exception cref="ToolException">A signal came, now or before.</exception>
    internal void Sleep(TimeSpan time)
    {
        if (_came.Wait(time)) throw new ToolException("It was interrupted.");
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _came.Dispose();
    }

    private void Note(PosixSignalContext context)
    {
        context.Cancel = !_came.IsSet;
        _came.Set();
    }
}
