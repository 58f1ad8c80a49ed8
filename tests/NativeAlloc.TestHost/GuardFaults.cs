using NativeAlloc.Checking;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>Uses a sampled block wrongly, or rightly. To be run with NATIVEALLOC_GUARD=1.</summary>
internal static unsafe class GuardFaults
{
    internal const string Name = "guard-faults";

    internal const string Clean = "clean", Overflow = "overflow", Underflow = "underflow", After = "after",
        Twice = "twice", Behind = "behind", NullReference = "null-reference", Reused = "reused", NoTexts = "no-texts";

    internal const int BlockBytes = 80, NextBytes = 48;

    internal static int Run(string[] args)
    {
        byte* block = (byte*)NativeAllocator.Alloc(BlockBytes);
        new Span<byte>(block, BlockBytes).Fill(1);
        switch (args[0])
        {
            case Overflow:
                block[BlockBytes] = 1;
                break;
            case Underflow:
                *(byte*)(((nint)block & -4096) - 1) = 1;
                break;
            case After:
                NativeAllocator.Free(block);
                Console.WriteLine(block[3]);
                break;
            case Twice:
                NativeAllocator.Free(block);
                NativeAllocator.Free(block);
                break;
            case Behind:
                block[-1] = 1;
                NativeAllocator.Free(block);
                break;
            case NullReference:
                try
                {
                    Console.WriteLine(((string)null!).Length);
                }
                catch (NullReferenceException)
                {
                    Console.WriteLine("caught");
                }
                break;
            case Reused:
                TakeSlotOf(block)[BlockBytes] = 1;
                break;
            case NoTexts:
                Console.WriteLine(FreeWithoutTexts()[3]);
                break;
            default:
                UseMany(block);
                break;
        }
        return 0;
    }

    // Frees a block while all other places are taken. At the first moment at which another thread could have the place
    // it goes to a new block, which comes back.
    private static byte* TakeSlotOf(void* block)
    {
        while (GuardedBlocks.Alloc(BlockBytes, 1) != null)
        {
        }
        void* next = null;
        SetReached(_ =>
        {
            if (next != null) return;
            Action<bool>? outer = SetReached(waits =>
            {
                if (waits) throw new TimeoutException("another one has the lock");
            });
            try
            {
                next = GuardedBlocks.Alloc(NextBytes, 1);
            }
            catch (TimeoutException)
            {
                // Not yet.
            }
            SetReached(outer);
        });
        NativeAllocator.Free(block);
        SetReached(null);
        if (next == null) next = GuardedBlocks.Alloc(NextBytes, 1); // no schedule points
        return (byte*)next;
    }

    // A block that was freed. The managed heap has no room for texts all the time.
    private static byte* FreeWithoutTexts()
    {
        SetReached(static _ =>
        {
            if (Environment.StackTrace.Contains(nameof(CallStacks.TextOf), StringComparison.Ordinal))
                throw new OutOfMemoryException();
        });
        void* block = GuardedBlocks.Alloc(BlockBytes, 1);
        NativeAllocator.Free(block);
        SetReached(null);
        return (byte*)block;
    }

    // What the thread does at each schedule point; what it did before.
    private static Action<bool>? SetReached(Action<bool>? reached)
    {
#if DEBUG
        Action<bool>? before = SchedulePoint.t_reached;
        SchedulePoint.t_reached = reached;
        return before;
#else
        return reached;
#endif
    }

    // More than there are places, of all sizes, and each way to free and resize them.
    private static void UseMany(void* first)
    {
        NativeAllocator.Free(first);
        List<nint> blocks = [];
        long end = Environment.TickCount64 + 1_000;
        for (int i = 0; i < 100_000 && Environment.TickCount64 < end; i++)
        {
            nuint bytes = (nuint)(i % 5_000);
            byte* block = (byte*)NativeAllocator.AllocZeroed(bytes);
            Pattern.CheckZero(block, bytes);
            Pattern.Fill(block, bytes, (ulong)i);
            byte* longer = (byte*)NativeAllocator.Realloc(block, bytes * 3 + 1);
            Pattern.Check(longer, bytes, (ulong)i);
            blocks.Add((nint)longer);
            if (i % 3 != 0) continue;
            NativeAllocator.Free((void*)blocks[i / 3]);
            blocks[i / 3] = 0;
        }
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        NativeAllocator.Check();
        Console.WriteLine("done");
    }
}
