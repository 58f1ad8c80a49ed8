using System.Diagnostics;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Mapping;

/// <summary>
/// Blocks that are a mapping of their own: those beyond the top order of the page layer, and those that have grown by realloc, as what
/// grows tends to go on growing and a mapping grows without copying. They are few and large: a table sorted by address finds them, and a
/// system call per operation is little against touching them.
/// </summary>
internal static unsafe class HugeBlocks
{
    // The system limits mappings per process (65,530 by default on Linux), long before this table is full.
    private const int MaxBlocks = 1 << 20;

    private static NativeLock s_lock;
    private static MetadataRegion s_region = MetadataRegion.Reserve(MaxBlocks * (nuint)sizeof(HugeBlock));

    /// <summary>Blocks in the table. Under the lock.</summary>
    private static int s_count;

    /// <summary>Blocks in the table or about to return to it: for each of them there is room. Under the lock.</summary>
    private static int s_promised;

    /// <summary>Bytes of all blocks. Written under the lock, read by any thread.</summary>
    private static nuint s_bytes;

    private static HugeBlock* Table => (HugeBlock*)s_region.Address;

    internal static nuint Bytes => Volatile.Read(ref s_bytes);

    internal static int Count => Volatile.Read(ref s_count);

    internal static uint LockAcquisitions => s_lock.Acquisitions;

    /// <summary>Maps a new block of zero bytes; null where the system refuses or the size is beyond any address space.</summary>
    internal static void* Alloc(nuint byteCount, nuint alignment)
    {
        if (!TryRound(byteCount, out nuint bytes) || !TryPromise()) return null;
        bool mapped = VirtualMemory.TryMap(bytes, Math.Max(alignment, VirtualMemory.PageBytes), out nuint address);
        return Enter(mapped, address, bytes);
    }

    /// <summary>
    /// Maps a new block whose first <paramref name="sourceBytes"/> are the memory that is behind <paramref name="source"/> now; no byte is copied,
    /// and what was not touched there is not touched here. The source reads as zero afterwards. Null, and nothing changed, where that fails.
    /// </summary>
    internal static void* AllocFrom(void* source, nuint sourceBytes, nuint byteCount)
    {
        if (!TryRound(byteCount, out nuint bytes) || !TryPromise()) return null;
        bool moved = VirtualMemory.TryMove((nuint)source, sourceBytes, bytes, out nuint address);
        return Enter(moved, address, bytes);
    }

    /// <summary>Unmaps a block; false, and nothing done, if none begins at this address.</summary>
    internal static bool TryFree(void* pointer)
    {
        if (!TryRemove(pointer, out nuint bytes)) return false;
        Unpromise();
        VirtualMemory.Release((nuint)pointer, bytes);
        return true;
    }

    /// <summary>
    /// Changes a block's size by moving its pages, not its bytes; what is new reads as zero. Null where that fails: the block stands as it was.
    /// </summary>
    internal static void* Realloc(void* pointer, nuint byteCount)
    {
        if (!TryRound(byteCount, out nuint newBytes) || !TryRemove(pointer, out nuint oldBytes)) return null;
        nuint address = (nuint)pointer;
        bool moved = newBytes == oldBytes || VirtualMemory.TryRemap((nuint)pointer, oldBytes, newBytes, out address);
        Add(moved ? address : (nuint)pointer, moved ? newBytes : oldBytes);
        return moved ? (void*)address : null;
    }

    /// <summary>Finds the block that an address lies in, anywhere.</summary>
    internal static bool TryFind(void* pointer, out void* block, out nuint bytes)
    {
        s_lock.Acquire();
        int index = IndexBelow((nuint)pointer);
        bool found = index >= 0 && (nuint)pointer - Table[index].Address < Table[index].Bytes;
        block = found ? (void*)Table[index].Address : null;
        bytes = found ? Table[index].Bytes : 0;
        s_lock.Release();
        return found;
    }

    private static bool TryRound(nuint byteCount, out nuint bytes)
    {
        nuint mask = VirtualMemory.PageBytes - 1;
        bytes = unchecked(byteCount + mask) & ~mask;
        return bytes >= byteCount && bytes <= (nuint)nint.MaxValue;
    }

    // Room is made before the system is asked, so that a block that exists can always be entered.
    private static bool TryPromise()
    {
        s_lock.Acquire();
        bool room = s_promised < MaxBlocks && s_region.TryCommitTo((nuint)(s_promised + 1) * (nuint)sizeof(HugeBlock));
        if (room) s_promised++;
        s_lock.Release();
        return room;
    }

    private static void Unpromise()
    {
        s_lock.Acquire();
        s_promised--;
        s_lock.Release();
    }

    // Makes a block of what the system has given, or takes the promise back.
    private static void* Enter(bool given, nuint address, nuint bytes)
    {
        if (given) Add(address, bytes);
        else Unpromise();
        return given ? (void*)address : null;
    }

    private static void Add(nuint address, nuint bytes)
    {
        s_lock.Acquire();
        int index = IndexBelow(address) + 1;
        new Span<HugeBlock>(Table + index, s_count - index).CopyTo(new Span<HugeBlock>(Table + index + 1, s_count - index));
        Table[index] = new HugeBlock { Address = address, Bytes = bytes };
        Volatile.Write(ref s_count, s_count + 1);
        Volatile.Write(ref s_bytes, s_bytes + bytes);
        Debug.Assert(s_count <= s_promised, "room was promised");
        s_lock.Release();
    }

    private static bool TryRemove(void* pointer, out nuint bytes)
    {
        bytes = 0;
        s_lock.Acquire();
        int index = IndexBelow((nuint)pointer);
        bool found = index >= 0 && Table[index].Address == (nuint)pointer;
        if (found)
        {
            bytes = Table[index].Bytes;
            new Span<HugeBlock>(Table + index + 1, s_count - index - 1).CopyTo(new Span<HugeBlock>(Table + index, s_count - index - 1));
            Volatile.Write(ref s_count, s_count - 1);
            Volatile.Write(ref s_bytes, s_bytes - bytes);
        }
        s_lock.Release();
        return found;
    }

    // The last block that begins at or below an address, or -1.
    private static int IndexBelow(nuint address)
    {
        int low = 0, high = s_count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (Table[middle].Address <= address) low = middle + 1;
            else high = middle;
        }
        return low - 1;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct HugeBlock
    {
        /// <summary>First byte.</summary>
        public nuint Address;

        /// <summary>Mapped bytes, whole system pages.</summary>
        public nuint Bytes;
    }
}
