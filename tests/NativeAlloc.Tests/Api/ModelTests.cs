using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that random sequences of all members, on several threads in turn, leave the allocator as a model of it says:
/// blocks are aligned and do not overlap, they keep what was written to them, zeroed ones are zero, every layer is in
/// order along the way, and in the end nothing is live.
/// </summary>
[Trait("Category", "Slow")]
public sealed class ModelTests : LeakCheckedTests
{
    private const int Runs = 60, LongestSequence = 400, StepsBetweenChecks = 32;

    [Fact]
    public void The_allocator_does_what_the_model_does()
    {
        Properties.ForAllSequences(Runs, LongestSequence, AllocatorStep.Make, Check);
    }

    private static void Check(AllocatorStep[] steps)
    {
        LeakCheck leaks = new();
        using AllocatorModel model = new();
        for (int i = 0; i < steps.Length; i++)
        {
            model.Do(steps[i]);
            if (i % StepsBetweenChecks == 0) NativeAllocator.Verify();
        }
        NativeAllocator.Verify();
        model.CheckAll();
        model.FreeAll();
        leaks.Finish();
    }
}
