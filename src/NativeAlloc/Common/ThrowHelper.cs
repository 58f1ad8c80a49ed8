using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Common;

/// <summary>
/// Every error of the library is worded here: it names the pointer or number, what was expected, and what to do. None of these is
/// inlined, so a check costs its caller a comparison and a call that is never made.
/// </summary>
internal static unsafe class ThrowHelper
{
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowOutOfMemory(nuint byteCount) =>
        throw new OutOfMemoryException($"NativeAlloc could not get {byteCount} bytes: neither its own free memory nor the system has them. Nothing was changed; free something or raise the limit of the process or container, and try again.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowSizeOverflow(nuint elementCount, nuint elementSize) =>
        throw new OutOfMemoryException($"NativeAlloc was asked for {elementCount} elements of {elementSize} bytes, which is more than the address space holds.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowBadAlignment(nuint alignment) =>
        throw new ArgumentException($"The alignment is {alignment}; it must be a power of two.", nameof(alignment));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowForeign(void* ptr) =>
        throw new ArgumentException($"The pointer 0x{(nuint)ptr:x} was not allocated by NativeAlloc, or was freed before. Give it back to the allocator that it came from.", nameof(ptr));

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowInterior(void* ptr, void* block, nuint blockBytes) =>
        throw new ArgumentException($"The pointer 0x{(nuint)ptr:x} is not the beginning of a block: it lies {(nuint)ptr - (nuint)block} bytes inside the block of {blockBytes} bytes at 0x{(nuint)block:x}. Pass the pointer that the allocation returned.", nameof(ptr));

    /// <summary>
    /// Ends the process: an object has come back that cannot have been handed out, so somebody may be using memory that is somebody else's.
    /// </summary>
    /// <param name="objectBytes">The size class.</param>
    /// <param name="block">The block that an interior pointer lies in; null for a double free.</param>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void StopOnBadFree(void* ptr, nuint objectBytes, void* block) =>
        Environment.FailFast(block == null
            ? $"NativeAlloc: double free of 0x{(nuint)ptr:x} (size class {objectBytes} B): the object is free in its slab already. It was freed twice some time ago; the second free may have given the memory to two owners."
            : $"NativeAlloc: free of 0x{(nuint)ptr:x} (size class {objectBytes} B), which is not the beginning of an object: the nearest one is at 0x{(nuint)block:x}. Pass the pointer that the allocation returned.");
}
