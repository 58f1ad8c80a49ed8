using System.Runtime.CompilerServices;
using NativeAlloc.Checking;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Checking;

/// <summary>Shows that each place has a stack of its own, and that the runtime is asked for it once.</summary>
public sealed class CallStacksTests
{
    [Fact]
    public void Places_and_their_callers_are_told_apart() => TestThread.RunOnNew(static () =>
    {
        int[] one = [FromOne(), FromOne(), FromOne()], other = [FromOther(), FromOther()];
        Assert.Single(one.Distinct());
        Assert.Single(other.Distinct());
        Assert.NotEqual(one[0], other[0]);
        Assert.Contains($".{nameof(Capture)}\n", CallStacks.TextOf(one[0]), StringComparison.Ordinal);
        Assert.Contains($".{nameof(FromOne)}\n", CallStacks.TextOf(one[0]), StringComparison.Ordinal);
        Assert.Contains($".{nameof(FromOther)}\n", CallStacks.TextOf(other[0]), StringComparison.Ordinal);
        Assert.DoesNotContain($".{nameof(FromOne)}\n", CallStacks.TextOf(other[0]), StringComparison.Ordinal);
    });

    [Fact]
    public void The_runtime_is_asked_once_for_a_place()
    {
        Assert.SkipUnless(StackWalker.IsAble, "Frame pointers are not followed here.");
        TestThread.RunOnNew(static () =>
        {
            long before = 0;
            int number = 0;
            for (int i = 0; i < 5; i++) // the first calls also set things up
            {
                before = GC.GetAllocatedBytesForCurrentThread();
                number = FromOne();
            }
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread()); // a stack of the runtime's is an object
            Assert.NotEqual(0, number);
        });
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int FromOne() => Capture() + 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int FromOther() => Capture() + 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static int Capture() => CallStacks.Capture();
}
