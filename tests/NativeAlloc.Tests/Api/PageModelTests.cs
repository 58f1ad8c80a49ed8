using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that random sequences of all members of the page allocator, on several threads in turn, leave it as a model
/// of it says: blocks are aligned, of the zone asked for and nobody else's, they keep what was written to them, what is
/// freed wrongly is refused, and in the end all is free.
/// </summary>
[Trait("Category", "Slow")]
public sealed class PageModelTests : LeakCheckedTests
{
    private const int Runs = 40, LongestSequence = 300, StepsBetweenChecks = 16;

    [Fact]
    public void The_page_allocator_does_what_the_model_does() =>
        Properties.ForAllSequences(Runs, LongestSequence, PageStep.Make, Check);

    private static void Check(PageStep[] steps)
    {
        LeakCheck leaks = new();
        TestThread[] threads = [.. Enumerable.Range(0, PageStep.Threads).Select(_ => new TestThread())];
        PageModel model = new();
        try
        {
            for (int i = 0; i < steps.Length; i++)
            {
                PageStep step = steps[i];
                if (step.Kind == PageStepKind.EndThread)
                {
                    threads[step.Thread].Dispose();
                    threads[step.Thread] = new TestThread();
                }
                else
                {
                    threads[step.Thread].Run(() => model.Do(step));
                }
                if (i % StepsBetweenChecks != 0) continue;
                NativeAllocator.Verify();
                model.CheckAll();
            }
            NativeAllocator.Verify();
            model.CheckAll();
            for (int i = 0; model.Count != 0; i++)
                threads[i % threads.Length].Run(() => model.FreeMany(i, 1 + model.Count / 3));
        }
        finally
        {
            model.Abandon(); // the allocator is the whole process's
            foreach (TestThread thread in threads) thread.Dispose();
        }
        leaks.Finish();
    }
}
