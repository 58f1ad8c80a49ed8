using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Threads;

/// <content>
/// Blocks that no thread needs any more lose their memory, and are then as they were before their first use. So what a
/// process has for threads follows those that are alive, and not the most that there ever were.
/// </content>
internal static unsafe partial class ThreadRegistry
{
    /// <summary>
    /// A block keeps its memory so long after its thread's end: code that a native library runs at that very moment
    /// may still use the block, and finds magazines that hold nothing.
    /// </summary>
    internal const uint RestMilliseconds = 500;

    /// <summary>
    /// So many blocks are no matter, 256 KiB in all: a process that rests is not woken to look whether the threads
    /// that have them are alive.
    /// </summary>
    internal const int FewBlocks = 64;

    /// <summary>Blocks that the layers above have set up. Under the lock; read by any thread.</summary>
    private static int s_withContents;

    /// <inheritdoc cref="s_withContents"/>
    internal static int WithContents => Volatile.Read(ref s_withContents);

    /// <summary>Whether there are so many blocks with memory that it matters whether their threads are alive.</summary>
    internal static bool HasMany => WithContents > FewBlocks;

    /// <summary>A bit for each block that may have memory. Changed under the lock, read by any thread.</summary>
    private static readonly ulong[] s_withMemory = new ulong[MaxBlocks / 64];

    /// <summary>
    /// Whether a block may have memory. One that has none is not even read: some systems give a page memory for that.
    /// </summary>
    internal static bool HasMemory(int index) => (Volatile.Read(ref s_withMemory[index / 64]) >> index & 1) != 0;

    /// <summary>Whether the layers above have anything in a block.</summary>
    internal static bool HasContents(byte* block) =>
        HasMemory(IndexOf(block)) && Volatile.Read(ref ThreadBlock.HeaderOf(block)->Initialized) != 0;

    private static int IndexOf(byte* block) => (int)((nuint)(block - (byte*)s_region.Address) / ThreadBlock.Bytes);

    private static void SetMemory(byte* block, bool has)
    {
        int index = IndexOf(block);
        ref ulong word = ref s_withMemory[index / 64];
        Volatile.Write(ref word, has ? word | 1UL << index : word & ~(1UL << index));
    }

    /// <summary>Whether there are blocks with memory that no living thread has: they can lose it, soon.</summary>
    internal static bool HasForgettable()
    {
        if (!CanForget) return false;
        bool any = false;
        s_lock.Acquire();
        for (int index = 0; index < s_count; index++)
        {
            if (!HasContents(At(index))) continue;
            ThreadHeader* header = ThreadBlock.HeaderOf(At(index));
            if (header->State != ThreadBlockState.Unused && !IsOfDead(header)) continue;
            HasRested(header, 0); // the time counts from here
            any = true;
        }
        s_lock.Release();
        return any;
    }

    /// <summary>
    /// Takes a block that has memory though no thread has used it for a while, beginning at an index that moves on;
    /// <see cref="Forget"/> or <see cref="Release"/> must follow. Null after the last.
    /// </summary>
    internal static byte* TakeUnused(ref int index)
    {
        byte* found = null;
        s_lock.Acquire();
        for (; CanForget && found == null && index < s_count; index++)
        {
            if (!HasContents(At(index))) continue;
            ThreadHeader* header = ThreadBlock.HeaderOf(At(index));
            if (header->State != ThreadBlockState.Unused) continue;
            if (!HasRested(header, RestMilliseconds)) continue;
            header->State = ThreadBlockState.Draining;
            found = At(index);
        }
        s_lock.Release();
        SetHeld(found);
        return found;
    }

    /// <summary>
    /// Gives the memory of blocks side by side to the system: they are unused, and new to their next owners. The caller
    /// has taken them, and nothing is in them. False, and nothing done, where the system refuses.
    /// </summary>
    internal static bool Forget(byte* first, int count)
    {
        s_lock.Acquire();
        nint* owners = stackalloc nint[MostAtOnce];
        for (int i = 0; i < count; i++)
        {
            ThreadHeader* header = ThreadBlock.HeaderOf(first + (nint)i * ThreadBlock.Bytes);
            Debug.Assert(header->State == ThreadBlockState.Draining, "the caller has taken the block");
            owners[i] = header->Owner;
        }
        bool purged = VirtualMemory.TryPurge((nuint)first, (nuint)count * ThreadBlock.Bytes);
        for (int i = 0; purged && i < count; i++)
        {
            SetMemory(first + (nint)i * ThreadBlock.Bytes, has: false);
            if (owners[i] != 0) GCHandle.FromIntPtr(owners[i]).Free();
        }
        if (purged) Volatile.Write(ref s_withContents, s_withContents - count);
        s_lock.Release();
        if (purged) SetHeld(null);
        return purged;
    }

    /// <summary>
    /// Most blocks that are forgotten in one go: purging their 512 KiB keeps the lock for a tenth of a millisecond.
    /// </summary>
    internal const int MostAtOnce = 64;

    // Where the system's pages are larger than a block, its neighbours would lose theirs. Where commit is charged, a
    // purge makes addresses inaccessible, and other threads go through all blocks without a lock.
    private static bool CanForget => VirtualMemory.PageBytes <= ThreadBlock.Bytes && !Platform.ChargesCommit;

    // Notes when a block was first seen free, and says whether that is so long ago.
    private static bool HasRested(ThreadHeader* header, uint milliseconds)
    {
        uint now = (uint)Environment.TickCount | 1; // 0 stands for not seen
        if (header->FreeSince == 0) header->FreeSince = now;
        return unchecked(now - header->FreeSince) >= milliseconds;
    }
}
