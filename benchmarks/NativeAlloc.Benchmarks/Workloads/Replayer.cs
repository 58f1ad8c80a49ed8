using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Traces;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>
/// The measured loop. <c>replay.c</c> has the same one, so that what differs between its results and these is the
/// allocator and the way it is called.
/// </summary>
internal static unsafe class Replayer<TAllocator>
    where TAllocator : struct, IAllocator
{
    // Small enough that the method below is called often: it then is replaced by its optimised form like any other hot
    // method, instead of being patched in the middle of one endless loop.
    private const int ChunkLength = 4096;

    public static void Replay(ReplayOp* ops, long count, void** slots)
    {
        for (ReplayOp* end = ops + count; ops < end;)
        {
            ReplayOp* stop = ops + Math.Min(ChunkLength, end - ops);
            ReplayChunk(ops, stop, slots);
            ops = stop;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ReplayChunk(ReplayOp* op, ReplayOp* end, void** slots)
    {
        for (; op < end; op++)
        {
            void** slot = slots + op->Slot;
            // The two common kinds first, by plain comparisons: they cost less than a jump through a table.
            if (op->Kind == ReplayKind.Malloc)
            {
                *slot = Touch(TAllocator.Alloc(op->Size), op->Size);
            }
            else if (op->Kind == ReplayKind.Free)
            {
                TAllocator.Free(*slot);
                *slot = null;
            }
            else if (op->Kind == ReplayKind.Realloc)
            {
                *slot = Touch(TAllocator.Realloc(*slot, op->Size), op->Size);
            }
            else if (op->Kind == ReplayKind.Calloc)
            {
                *slot = Touch(TAllocator.AllocZeroed(op->Size), op->Size);
            }
            else if (op->Kind == ReplayKind.Aligned)
            {
                *slot = Touch(TAllocator.AlignedAlloc(op->Size, op->Alignment), op->Size);
            }
            else
            {
                TAllocator.AlignedFree(*slot);
                *slot = null;
            }
        }
    }

    /// <summary>Writes the ends of a block, as its owner would.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void* Touch(void* block, uint size)
    {
        if (size != 0)
        {
            ((byte*)block)[0] = 1;
            ((byte*)block)[(nuint)size - 1] = 1;
        }

        return block;
    }
}
