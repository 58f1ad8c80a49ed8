using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>The measured loop of <see cref="PreparedPages"/>.</summary>
internal static unsafe class PageRunner<TAllocator>
    where TAllocator : struct, IAllocator
{
    // Small enough that the method below is called often, and so is optimised like any other hot method.
    private const int ChunkLength = 256;

    public static void Run(PageOp* ops, long count, void** slots, nuint touchEveryBytes)
    {
        for (PageOp* end = ops + count; ops < end;)
        {
            PageOp* stop = ops + Math.Min(ChunkLength, end - ops);
            RunChunk(ops, stop, slots, touchEveryBytes);
            ops = stop;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunChunk(PageOp* op, PageOp* end, void** slots, nuint touchEveryBytes)
    {
        for (; op < end; op++)
        {
            if (op->IsFree)
            {
                TAllocator.FreePages(slots[op->Slot], op->Order);
                continue;
            }

            byte* block = (byte*)TAllocator.AllocPages(op->Order);
            nuint bytes = IAllocator.BytesOf(op->Order);
            for (nuint at = 0; at < bytes; at += touchEveryBytes)
                block[at] = 1;
            slots[op->Slot] = block;
        }
    }
}
