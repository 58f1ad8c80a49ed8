using System.Runtime.ExceptionServices;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>Runs test code on threads of its own and brings its exceptions back.</summary>
internal static class TestThreads
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    /// <summary>Runs the body on a new thread that has ended when this returns.</summary>
    internal static void RunAlone(Action body) => RunTogether(1, _ => body());

    /// <summary>Runs the body on several new threads, which get its number and begin at the same moment; all have ended when this returns.</summary>
    internal static void RunTogether(int count, Action<int> body)
    {
        Exception? first = null;
        using Barrier start = new(count);
        Thread[] threads = new Thread[count];
        for (int i = 0; i < count; i++)
        {
            int number = i;
            threads[i] = new Thread(() =>
            {
                try
                {
                    start.SignalAndWait();
                    body(number);
                }
                catch (Exception error)
                {
                    Interlocked.CompareExchange(ref first, error, null);
                }
            }) { IsBackground = true };
        }
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) Assert.True(thread.Join(s_patience), "a test thread hangs");
        if (first != null) ExceptionDispatchInfo.Throw(first);
    }
}
