using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Common;

/// <content>Errors of buffers, writers and streams.</content>
internal static unsafe partial class ThrowHelper
{
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNotPinned() => throw new InvalidOperationException(
        "The memory is not pinned: Unpin was called more often than Pin. A MemoryHandle unpins when it is disposed " +
        "of; use one of the two.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowIsMoving() => throw new InvalidOperationException(
        "The writer or stream is getting another size, and code that runs meanwhile, a shrinker, uses it. Such code " +
        "can dispose of it and nothing else.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowAdvancedTooFar(int count, nuint room) => throw new InvalidOperationException(
        $"Advance({count}) goes beyond the end: there is room for {room}. Ask GetSpan or GetMemory for room first.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowTooLongForOneSpan(nuint elements) => throw new InvalidOperationException(
        $"There are {elements} elements, more than one span or array can hold. Ask for the sequence of them.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowSeekBeforeBeginning(long offset) => throw new IOException(
        $"A seek by {offset} bytes would set the position before the beginning of the stream.");
}
