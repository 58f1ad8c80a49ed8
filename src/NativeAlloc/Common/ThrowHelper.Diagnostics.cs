using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Common;

/// <content>Errors of the profiler and of reports.</content>
internal static unsafe partial class ThrowHelper
{
    [DoesNotReturn]
    internal static void ThrowProfilerState(bool isRunning) => throw new InvalidOperationException(isRunning
        ? "NativeAlloc: The profiler runs already. Stop it first, or go on with the profile that it takes."
        : "NativeAlloc: The profiler does not run, so it cannot be stopped. Start it with AllocationProfiler.Start.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoNativeHeap() => throw new PlatformNotSupportedException(
        "This process has no heap of a C library that can be read: that takes Linux with glibc 2.33 or later.");
}
