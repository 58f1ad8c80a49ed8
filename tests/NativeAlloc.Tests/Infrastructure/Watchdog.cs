using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Ends a run that hangs. An assertion of the library that fails while a lock is held leaves it held, and every test after it waits for
/// that lock for ever: the first failure, which stands in the output already, is then the one to look at.
/// </summary>
internal static class Watchdog
{
    private static readonly TimeSpan s_longestRun = TimeSpan.FromMinutes(15);

    [ModuleInitializer]
    internal static void Start()
    {
        Thread thread = new(static () =>
        {
            Thread.Sleep(s_longestRun);
            if (!Debugger.IsAttached) Environment.FailFast($"The tests have not ended after {s_longestRun.TotalMinutes} minutes: look at the first failure.");
        }) { IsBackground = true, Name = "Watchdog" };
        thread.Start();
    }
}
