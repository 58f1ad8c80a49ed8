using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using NativeAlloc.Threads;
using Xunit.v3;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Ends a run that hangs: one in which no test has ended, and none has said that it goes on, for many minutes. How long
/// the whole run takes does not matter. An assertion of the library that fails while a lock is held leaves the lock
/// held, and every test after it waits for that lock for ever. The first failure is then the one to look at.
/// </summary>
internal static class Watchdog
{
    /// <summary>So long may pass between two calls of <see cref="Progress"/>.</summary>
    internal static readonly TimeSpan LongestStandstill = TimeSpan.FromMinutes(10);

    private static long s_lastProgress = Stopwatch.GetTimestamp();

    private static string s_test = "none";

    [ModuleInitializer]
    internal static void Start()
    {
        Thread thread = new(Watch) { IsBackground = true, Name = "Watchdog" };
        thread.Start();
    }

    /// <summary>Says that the run goes on. Tests that take long call it again and again; any thread may.</summary>
    internal static void Progress() => Volatile.Write(ref s_lastProgress, Stopwatch.GetTimestamp());

    internal static void NoteTest(string name)
    {
        Volatile.Write(ref s_test, name);
        Progress();
    }

    private static void Watch()
    {
        while (Debugger.IsAttached || Stopwatch.GetElapsedTime(Volatile.Read(ref s_lastProgress)) < LongestStandstill)
            Thread.Sleep(TimeSpan.FromSeconds(5));
        Environment.FailFast($"Nothing has happened for {LongestStandstill.TotalMinutes} minutes. "
            + $"The last test is {Volatile.Read(ref s_test)}. Where another has failed before it, look at that first.");
    }
}

/// <summary>
/// Tells the watchdog of each test that begins or ends, and gives back what a test left, so that none depends on what
/// ran before it.
/// </summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class WatchedAttribute : BeforeAfterTestAttribute
{
    public override void Before(MethodInfo methodUnderTest, IXunitTest test) => Watchdog.NoteTest(test.TestDisplayName);

    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        Rest.GiveBack();
        if (ThreadRegistry.HasMany) Rest.ForgetBlocks();
        Watchdog.Progress();
    }
}
