using System.Diagnostics.CodeAnalysis;

namespace NativeAlloc.Common;

/// <content>Errors of the profiler.</content>
internal static unsafe partial class ThrowHelper
{
    [DoesNotReturn]
    internal static void ThrowProfilerState(bool isRunning) => throw new InvalidOperationException(isRunning
        ? "NativeAlloc: The profiler runs already. Stop it first, or go on with the profile that it takes."
        : "NativeAlloc: The profiler does not run, so it cannot be stopped. Start it with AllocationProfiler.Start.");
}
