using System.Runtime.InteropServices;
using NativeAlloc.Threads;

namespace NativeAlloc.TestHost;

/// <summary>
/// Threads that the C library makes, one after the other, each of which allocates a block by a callback and ends; and
/// blocks that the C library frees by a callback after the program has ended. Linux only.
/// </summary>
internal static unsafe partial class ForeignThreads
{
    internal const string Name = "foreign-threads";

    internal const int Threads = 1000;

    // As many as are alive at one time, and a few that the runtime has.
    private const int MostBlocks = 8;

    // What the decay's thread does takes some milliseconds.
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(10);

    internal static int Run()
    {
        AllocatorStatistics start = NativeAllocator.GetStatistics();
        for (int i = 0; i < Threads; i++)
        {
            nuint bytes = (nuint)(i * 7 % 3000);
            // A start routine has malloc's signature: what it gets is the size, what it returns the block.
            if (Start(out nint thread, null, NativeCallbacks.Malloc, (void*)bytes) != 0) return Fail("no thread");
            if (Join(thread, out nint block) != 0) return Fail("no join");
            if (block == 0) return Fail("no memory");
            Pattern.Fill((void*)block, bytes, (ulong)i);
            Pattern.Check((void*)block, bytes, (ulong)i);
            // Another thread of the C library frees it.
            if (Start(out thread, null, (delegate* unmanaged[Cdecl]<nuint, void*>)(void*)NativeCallbacks.Free,
                (void*)block) != 0) return Fail("no thread");
            _ = Join(thread, out _);
        }
        // Where this took long, the decay's thread may be draining magazines: what it moves counts as live meanwhile.
        long left = 0;
        if (!SpinWait.SpinUntil(
            () => (left = NativeAllocator.GetStatistics().LiveBlocks - start.LiveBlocks) == 0, s_longest))
            return Fail($"{left} blocks are left");
        if (ThreadRegistry.Count > MostBlocks) return Fail($"{ThreadRegistry.Count} thread blocks");
        NativeAllocator.Verify();
        foreach (nuint bytes in (nuint[])[10, 5000, 100_000, 3_000_000])
            if (AtExit(NativeCallbacks.Free, NativeAllocator.Alloc(bytes), null) != 0) return Fail("no exit function");
        Console.WriteLine("ok");
        return 0;
    }

    private static int Fail(string reason)
    {
        Console.Error.WriteLine(reason);
        return 1;
    }

    [LibraryImport("libc", EntryPoint = "pthread_create")]
    private static partial int Start(out nint thread, void* attributes,
        delegate* unmanaged[Cdecl]<nuint, void*> routine, void* argument);

    [LibraryImport("libc", EntryPoint = "pthread_join")]
    private static partial int Join(nint thread, out nint result);

    [LibraryImport("libc", EntryPoint = "__cxa_atexit")]
    private static partial int AtExit(delegate* unmanaged[Cdecl]<void*, void> routine, void* argument, void* module);
}
