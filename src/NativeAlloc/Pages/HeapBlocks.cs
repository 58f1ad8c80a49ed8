using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Pages;

/// <summary>What the blocks of one heap add up to, in native memory of the heap's.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct HeapFigures
{
    /// <summary>Two cache lines, as every thread that uses the heap writes here.</summary>
    internal const int Bytes = 128;

    /// <summary>Bytes that users hold of the heap. Any thread, by Interlocked.</summary>
    [FieldOffset(0)] public long LiveBytes;

    /// <summary>
    /// The first of the heap's blocks in <see cref="HeapBlocks"/>; 0 for none. Under the lock of that.
    /// </summary>
    [FieldOffset(8)] public uint FirstBlock;
}

/// <summary>
/// The blocks of heaps that are no objects of slabs: which heap each belongs to, so that every way to free a block
/// finds it, and a list for each heap, so that the heap can free them all. Blocks are found by their address in a hash
/// table. They are large, so there are few of them, and one lock does for all.
/// </summary>
internal static unsafe class HeapBlocks
{
    /// <summary>One block. Number 0 is no block.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        /// <summary>Where the block begins.</summary>
        public nuint Address;

        /// <summary>What was added to the heap's bytes for it.</summary>
        public nuint Bytes;

        /// <summary>The heap.</summary>
        public HeapFigures* Heap;

        /// <summary>The next entry with the same hash, or the next free one.</summary>
        public uint Next;

        /// <summary>The blocks before and behind it in the heap's list.</summary>
        public uint PreviousOfHeap, NextOfHeap;

        /// <summary>Whether a thread changes it. Under the lock, as all of the entry.</summary>
        public MoveState Move;
    }

    private enum MoveState
    {
        None = 0,

        /// <summary>A thread changes its size or address. It counts with its old size meanwhile.</summary>
        Moving,

        /// <summary>The same, and the block at the old address has been freed.</summary>
        Freed,
    }

    private const int BucketBits = 14, Buckets = 1 << BucketBits;

    // Blocks of 512 KiB or more that 64 TiB of addresses hold are more than this; a heap says then that it is out of
    // memory.
    private const uint MaxEntries = 1 << 24;

    private static NativeLock s_lock;

    /// <summary>The heads of the chains, and behind them the entries. Grown under the lock.</summary>
    private static MetadataRegion s_region;

    /// <summary>Entries that were ever used, with number 0; the first free one of these. Under the lock.</summary>
    private static uint s_used = 1, s_free;

    /// <summary>Blocks of all heaps. Written under the lock, read by any thread.</summary>
    private static int s_count;

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>Whether there is a block of a heap at all: without one, no free has to look.</summary>
    internal static bool Any => Volatile.Read(ref s_count) != 0;

    private static uint* Heads => (uint*)s_region.Address;

    private static Entry* Entries => (Entry*)(s_region.Address + Buckets * sizeof(uint));

    // More than any system has; the sum of a few does not overflow.
    private const ulong LargestCharge = 1UL << 56;

    /// <summary>What a block of so many bytes adds to its heap's bytes: whole pages.</summary>
    internal static nuint ChargeOf(nuint bytes) => bytes >= LargestCharge
        ? unchecked((nuint)LargestCharge)
        : Math.Max(1, (bytes + (PageGeometry.PageBytes - 1)) >> PageGeometry.PageShift) << PageGeometry.PageShift;

    /// <summary>Notes a block of a heap. False where there is no memory for it.</summary>
    internal static bool TryAdd(void* block, nuint bytes, HeapFigures* heap)
    {
        s_lock.Acquire();
        uint number = TakeEntry();
        if (number != 0)
        {
            uint bucket = BucketOf(block);
            Entries[number] = new Entry
            {
                Address = (nuint)block,
                Bytes = bytes,
                Heap = heap,
                Next = Heads[bucket],
                NextOfHeap = heap->FirstBlock,
            };
            Heads[bucket] = number; // before one of the same address that has been freed while it moves
            if (heap->FirstBlock != 0) Entries[heap->FirstBlock].PreviousOfHeap = number;
            heap->FirstBlock = number;
            Volatile.Write(ref s_count, s_count + 1);
        }
        s_lock.Release();
        return number != 0;
    }

    /// <summary>Whether a block is this heap's. The thread must own the block, so that it stays so.</summary>
    internal static bool Contains(void* block, HeapFigures* heap)
    {
        if (!Any) return false;
        s_lock.Acquire();
        uint number = *LinkOf(block);
        bool found = number != 0 && Entries[number].Heap == heap;
        s_lock.Release();
        return found;
    }

    /// <summary>
    /// Forgets a block, before it is freed, and takes it off its heap's bytes. False where it is no block of a heap, or
    /// of another than the one that is meant.
    /// </summary>
    /// <param name="block">The block.</param>
    /// <param name="heap">The heap that is meant; null for any.</param>
    internal static bool TryRemove(void* block, HeapFigures* heap = null)
    {
        if (!Any) return false;
        s_lock.Acquire();
        uint* link = LinkOf(block);
        uint number = *link;
        bool found = number != 0 && (heap == null || Entries[number].Heap == heap);
        if (found && Entries[number].Move != MoveState.None) Entries[number].Move = MoveState.Freed;
        else if (found)
        {
            *link = Entries[number].Next;
            Remove(number);
        }
        s_lock.Release();
        return found;
    }

    /// <summary>
    /// Begins to change a block's size or address. Returns its number; 0 where it is no block of a heap, or of another
    /// than the one that is meant, or another thread or a caller moves it.
    /// </summary>
    /// <param name="block">The block.</param>
    /// <param name="heap">The heap that is meant; null for any.</param>
    /// <param name="bytes">What its heap counts for it.</param>
    internal static uint BeginMove(void* block, HeapFigures* heap, out nuint bytes)
    {
        bytes = 0;
        if (!Any) return 0;
        s_lock.Acquire();
        uint number = *LinkOf(block);
        Entry* entry = &Entries[number];
        if (number != 0 && (heap != null && entry->Heap != heap || entry->Move != MoveState.None)) number = 0;
        if (number != 0)
        {
            bytes = entry->Bytes;
            entry->Move = MoveState.Moving;
        }
        s_lock.Release();
        return number;
    }

    /// <summary>
    /// Ends it: the heap has the block with its new address and size; or not any more, where it has been freed at the
    /// address at which it still is.
    /// </summary>
    internal static void EndMove(uint number, void* before, void* after, nuint bytes)
    {
        s_lock.Acquire();
        Entry* entry = &Entries[number];
        uint* link = &Heads[BucketOf(before)];
        while (*link != 0 && *link != number) link = &Entries[*link].Next;
        // A heap that was disposed of meanwhile, which is wrong, has taken all of its blocks out.
        bool isGone = *link == 0 || entry->Move == MoveState.None;
        if (!isGone && before == after && entry->Move == MoveState.Freed)
        {
            *link = entry->Next;
            Remove(number);
        }
        else if (!isGone)
        {
            if (before != after)
            {
                *link = entry->Next;
                uint bucket = BucketOf(after);
                entry->Address = (nuint)after;
                entry->Next = Heads[bucket];
                Heads[bucket] = number;
            }
            Interlocked.Add(ref entry->Heap->LiveBytes, (long)bytes - (long)entry->Bytes);
            entry->Bytes = bytes;
            entry->Move = MoveState.None;
        }
        s_lock.Release();
    }

    /// <summary>Forgets any one block of a heap. False where it has none.</summary>
    internal static bool TryRemoveFirst(HeapFigures* heap, out void* block)
    {
        block = null;
        if (!Any) return false;
        s_lock.Acquire();
        uint number = heap->FirstBlock;
        if (number != 0)
        {
            block = (void*)Entries[number].Address;
            uint* link = &Heads[BucketOf(block)];
            while (*link != number) link = &Entries[*link].Next;
            *link = Entries[number].Next;
            Remove(number);
        }
        s_lock.Release();
        return number != 0;
    }

    /// <summary>Bytes and number of a heap's blocks, for checks.</summary>
    internal static (nuint Bytes, int Count) CountOf(HeapFigures* heap)
    {
        nuint bytes = 0;
        int count = 0;
        s_lock.Acquire();
        for (uint number = heap->FirstBlock; number != 0; number = Entries[number].NextOfHeap, count++)
            bytes += Entries[number].Bytes;
        s_lock.Release();
        return (bytes, count);
    }

    /// <summary>Walks all chains and lists and checks them. Throws where something is wrong.</summary>
    internal static void Verify()
    {
        s_lock.Acquire();
        string? error = s_region.IsUsable ? FindError() : null;
        s_lock.Release();
        if (error != null) throw new InvalidOperationException($"blocks of heaps: {error}");
    }

    private static string? FindError()
    {
        int count = 0;
        for (uint bucket = 0; bucket < Buckets; bucket++)
        {
            for (uint number = Heads[bucket]; number != 0; number = Entries[number].Next, count++)
            {
                Entry* entry = &Entries[number];
                if (BucketOf((void*)entry->Address) != bucket) return $"entry {number} is in bucket {bucket}";
                uint before = entry->PreviousOfHeap;
                if (before == 0 ? entry->Heap->FirstBlock != number : Entries[before].NextOfHeap != number)
                    return $"entry {number} is not in its heap's list";
            }
        }
        return count == s_count ? null : $"there are {count}, and the count says {s_count}";
    }

    // The word that names the block's entry, or a chain's last word, which is 0.
    private static uint* LinkOf(void* block)
    {
        uint* link = &Heads[BucketOf(block)];
        while (*link != 0 && Entries[*link].Address != (nuint)block) link = &Entries[*link].Next;
        return link;
    }

    private static void Remove(uint number)
    {
        Entry* entry = &Entries[number];
        if (entry->PreviousOfHeap != 0) Entries[entry->PreviousOfHeap].NextOfHeap = entry->NextOfHeap;
        else entry->Heap->FirstBlock = entry->NextOfHeap;
        if (entry->NextOfHeap != 0) Entries[entry->NextOfHeap].PreviousOfHeap = entry->PreviousOfHeap;
        Interlocked.Add(ref entry->Heap->LiveBytes, -(long)entry->Bytes);
        *entry = new Entry { Next = s_free };
        s_free = number;
        Volatile.Write(ref s_count, s_count - 1);
    }

    // 0 where there is no memory for another.
    private static uint TakeEntry()
    {
        if (s_free != 0)
        {
            uint number = s_free;
            s_free = Entries[number].Next;
            return number;
        }
        nuint head = Buckets * sizeof(uint);
        if (s_region.Address == 0) s_region = MetadataRegion.ReserveUpTo(head + MaxEntries * (nuint)sizeof(Entry));
        if (s_used == MaxEntries || !s_region.TryCommitTo(head + (s_used + 1) * (nuint)sizeof(Entry))) return 0;
        Debug.Assert(s_region.Address != 0, "what is committed is reserved");
        return s_used++;
    }

    // Blocks begin at multiples of a page; the multiplication spreads their numbers.
    private static uint BucketOf(void* block) =>
        (uint)(unchecked((ulong)((nuint)block >> PageGeometry.PageShift) * 0x9E3779B97F4A7C15) >> (64 - BucketBits));
}
