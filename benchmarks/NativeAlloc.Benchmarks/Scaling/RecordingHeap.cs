using System.Collections.Concurrent;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Heaps;
using Heap = NativeAlloc.Benchmarks.Heaps.PointerHeap<NativeAlloc.Benchmarks.Allocators.NativeMemoryAllocator>;

namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>
/// A heap that writes down who asks for what, in an order that all threads agree on. A reallocation is an allocation
/// and a free. Not for measuring.
/// </summary>
internal readonly struct RecordingHeap : IHeap<nint>
{
    private static readonly ConcurrentQueue<(int Thread, RecordedCall Call)> s_calls = [];
    private static readonly ConcurrentDictionary<nint, int> s_blocks = [];
    private static int s_blockCount;

    /// <summary>What was written down since <see cref="Reset"/>.</summary>
    internal static (int Thread, RecordedCall Call)[] Calls => [.. s_calls];

    internal static void Reset()
    {
        s_calls.Clear();
        s_blocks.Clear();
        s_blockCount = 0;
    }

    public static nint Alloc(uint bytes) => NoteAlloc(Heap.Alloc(bytes), bytes);

    public static nint AllocZeroed(uint bytes) => NoteAlloc(Heap.AllocZeroed(bytes), bytes);

    public static nint AlignedAlloc(uint bytes, uint alignment) =>
        NoteAlloc(Heap.AlignedAlloc(bytes, alignment), bytes);

    public static nint Realloc(nint block, uint bytes)
    {
        NoteFree(block);
        return NoteAlloc(Heap.Realloc(block, bytes), bytes);
    }

    public static void Free(nint block)
    {
        NoteFree(block);
        Heap.Free(block);
    }

    public static void AlignedFree(nint block)
    {
        NoteFree(block);
        Heap.AlignedFree(block);
    }

    public static ref byte At(nint block) => ref Heap.At(block);

    public static bool IsNone(nint block) => Heap.IsNone(block);

    public static nint Exchange(ref nint slot, nint block) => Heap.Exchange(ref slot, block);

    private static nint NoteAlloc(nint address, uint bytes)
    {
        int block = Interlocked.Increment(ref s_blockCount) - 1;
        s_blocks[address] = block;
        s_calls.Enqueue((Environment.CurrentManagedThreadId, new RecordedCall(block, Math.Max(1, bytes))));
        return address;
    }

    // Before the address can be another block's.
    private static void NoteFree(nint address)
    {
        if (s_blocks.TryRemove(address, out int block))
            s_calls.Enqueue((Environment.CurrentManagedThreadId, new RecordedCall(block, 0)));
    }
}
