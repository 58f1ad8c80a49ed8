using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Text.Unicode;
using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc.Checking;

/// <summary>
/// Guard sampling, after GWP-ASan: now and then a small block gets a system page of its own, between two pages that
/// cannot be touched. It ends where its page ends, so an overflow is a fault at once; and once it is freed, so is every
/// access. Which pages a fault may hit, and what is to be said then, is prepared (<see cref="FaultTexts"/>).
/// </summary>
/// <remarks>
/// There are <see cref="Slots"/> places, used again in turn, the one that was freed longest ago first. So memory,
/// mappings and addresses are bounded, and a program that holds many sampled blocks is sampled no more until it frees
/// some. Three pages to a place: a guard, the block's page, a guard.
/// </remarks>
internal static unsafe class GuardedBlocks
{
    internal const int Slots = 256;

    private const int PagesOfSlot = 3, MappingsOfSlot = 2;

    // A sample and its free take two stacks, two system calls and a text: 100 to 200 us on a virtual machine. With one
    // in 1 ms traces took 13 % longer.
    private const long LeastMicroseconds = 20_000;

    private const byte Unused = 0xBB;

    private const int HeadCharacters = 160; // the words, and three numbers of up to 20 digits

    // Blocks are cleared and copied in granules of 16 bytes by callers who do not know that this one is guarded.
    private const nuint Granule = 16;

    private static NativeLock s_lock;

    /// <summary>
    /// Addresses of all slots; 0 bytes where there is no sampling. Written once under the lock, the bytes last; read by
    /// any thread. By Volatile.
    /// </summary>
    private static nuint s_address, s_bytes;

    /// <summary>Under the lock.</summary>
    private static MetadataRegion s_texts;

    /// <summary>Under the lock.</summary>
    private static readonly Slot[] s_slots = new Slot[Slots];
    private static int s_oldestFree, s_freeCount;
    private static readonly int[] s_free = new int[Slots]; // a ring, the slot that was freed longest ago first
    private static bool s_isSetUp;

    /// <summary>Allocations since the last sample, as far as they were seen. By Interlocked.</summary>
    private static long s_seen;

    /// <summary>When the last sample was taken. By Volatile.</summary>
    private static long s_lastTimestamp;

    /// <summary>Addresses of all slots, once the first block was guarded.</summary>
    internal static nuint Base => Volatile.Read(ref s_address);

    /// <inheritdoc cref="Base"/>
    internal static nuint Bytes => Volatile.Read(ref s_bytes);

    /// <summary>Whether an address lies in a slot.</summary>
    internal static bool Contains(void* pointer)
    {
        nuint bytes = Volatile.Read(ref s_bytes); // first: what is behind it can be seen then
        return unchecked((nuint)pointer - Volatile.Read(ref s_address)) < bytes;
    }

    /// <summary>
    /// Counts allocations; true where the next of them is to be guarded. A thread's refill stands for as many
    /// allocations as a magazine holds, as those that find one are not seen.
    /// </summary>
    internal static bool IsDue(long allocations)
    {
        if (Interlocked.Add(ref s_seen, allocations) < Options.Guard) return false;
        long now = Stopwatch.GetTimestamp(), last = Volatile.Read(ref s_lastTimestamp);
        if (last != 0 && (now - last) * 1_000_000 / Stopwatch.Frequency < LeastMicroseconds)
        {
            Interlocked.Exchange(ref s_seen, Options.Guard / 2); // to ask the clock each time would cost more
            return false;
        }
        Volatile.Write(ref s_lastTimestamp, now);
        Interlocked.Exchange(ref s_seen, 0);
        return true;
    }

    /// <summary>A guarded block; null where it is too large, or no slot is free.</summary>
    internal static void* Alloc(nuint bytes, nuint alignment)
    {
        nuint page = VirtualMemory.PageBytes;
        if (bytes > page || alignment > page) return null;
        int stack = CallStacks.Capture(), thread = Environment.CurrentManagedThreadId;
        s_lock.Acquire();
        int slot = TrySetUp() && s_freeCount != 0 ? s_free[s_oldestFree] : -1;
        nuint pageAddress = PageOf(slot);
        if (slot >= 0 && VirtualMemory.TryCommit(pageAddress, page))
        {
            s_oldestFree = (s_oldestFree + 1) % Slots;
            s_freeCount--;
            nuint address = (pageAddress + page - Math.Max(bytes, 1)) & ~(Math.Max(alignment, Granule) - 1);
            s_slots[slot] = new Slot(address, bytes, stack, thread, 0, 0, IsLive: true);
            new Span<byte>((void*)pageAddress, (int)page).Fill(Unused);
        }
        else
        {
            slot = -1;
        }
        Slot taken = slot >= 0 ? s_slots[slot] : default;
        s_lock.Release();
        if (slot >= 0) WriteTexts(slot, taken);
        return (void*)taken.Address;
    }

    /// <summary>Frees a guarded block; what is wrong with that, or null.</summary>
    internal static string? Free(void* pointer)
    {
        int stack = CallStacks.Capture(), thread = Environment.CurrentManagedThreadId;
        int slot = SlotOf(pointer);
        s_lock.Acquire();
        Slot found = s_slots[slot];
        bool isRight = found.IsLive && found.Address == (nuint)pointer;
        nuint damaged = isRight ? FindDamage(slot, found) : 0;
        if (isRight && damaged == 0)
        {
            VirtualMemory.TryDecommit(PageOf(slot), VirtualMemory.PageBytes);
            s_slots[slot] = found = found with { IsLive = false, FreeStack = stack, FreeThread = thread };
            s_free[(s_oldestFree + s_freeCount) % Slots] = slot;
            s_freeCount++;
        }
        s_lock.Release();
        if (damaged != 0) return $"0x{damaged:x} was written to, beside {Describe(found)}";
        if (!isRight) return $"0x{(nuint)pointer:x} is no live block. It lies in or beside {Describe(found)}";
        WriteTexts(slot, found);
        return null;
    }

    /// <summary>The live block that an address lies in.</summary>
    internal static bool TryFind(void* pointer, out void* block, out nuint bytes)
    {
        s_lock.Acquire();
        Slot found = s_slots[SlotOf(pointer)];
        s_lock.Release();
        bool isInside = found.IsLive && unchecked((nuint)pointer - found.Address) < Math.Max(found.Bytes, 1);
        block = isInside ? (void*)found.Address : null;
        bytes = isInside ? found.Bytes : 0;
        return isInside;
    }

    private static nuint PageOf(int slot) =>
        slot < 0 ? 0 : Volatile.Read(ref s_address) + (nuint)(slot * PagesOfSlot + 1) * VirtualMemory.PageBytes;

    private static int SlotOf(void* pointer) =>
        (int)(((nuint)pointer - Volatile.Read(ref s_address)) / (PagesOfSlot * VirtualMemory.PageBytes));

    // Under the lock, and once; where the system refuses, there is no sampling.
    private static bool TrySetUp()
    {
        if (s_isSetUp) return Volatile.Read(ref s_bytes) != 0;
        s_isSetUp = true;
        nuint page = VirtualMemory.PageBytes, bytes = Slots * PagesOfSlot * page;
        if (!MappingBudget.TryTake(Slots * MappingsOfSlot)) return false;
        s_texts = MetadataRegion.Reserve(Slots * PagesOfSlot * FaultTexts.TextBytes);
        if (!s_texts.TryCommitTo(Slots * PagesOfSlot * FaultTexts.TextBytes)
            || !VirtualMemory.TryReserve(bytes, page, out nuint address))
        {
            MappingBudget.Give(Slots * MappingsOfSlot);
            return false;
        }
        Volatile.Write(ref s_address, address);
        FaultTexts.TryInstall(address, bytes, BitOperations.Log2((ulong)page), s_texts.Address);
        for (int slot = 0; slot < Slots; slot++) s_free[slot] = slot;
        s_freeCount = Slots;
        Volatile.Write(ref s_bytes, bytes);
        return true;
    }

    private static nuint FindDamage(int slot, in Slot block)
    {
        nuint page = PageOf(slot), pageBytes = VirtualMemory.PageBytes;
        int before = new ReadOnlySpan<byte>((void*)page, (int)(block.Address - page)).IndexOfAnyExcept(Unused);
        if (before >= 0) return page + (nuint)before;
        nuint end = (block.Address + Math.Max(block.Bytes, 1) + (Granule - 1)) & ~(Granule - 1);
        int behind = new ReadOnlySpan<byte>((void*)end, (int)(page + pageBytes - end)).IndexOfAnyExcept(Unused);
        return behind >= 0 ? end + (nuint)behind : 0;
    }

    // Size, address and thread, with no managed memory; how many characters.
    private static int WriteHead(Span<char> head, in Slot block)
    {
        head.TryWrite(CultureInfo.InvariantCulture, $"the sampled block of {block.Bytes} bytes at 0x{block.Address:x}, "
            + $"allocated by thread {block.AllocThread}:\n", out int written);
        return written;
    }

    private static string StacksOf(in Slot block)
    {
        string allocated = CallStacks.TextOf(block.AllocStack);
        if (block.IsLive || block.FreeThread == 0) return allocated;
        return string.Create(CultureInfo.InvariantCulture,
            $"{allocated}freed by thread {block.FreeThread}:\n{CallStacks.TextOf(block.FreeStack)}");
    }

    private static string Describe(in Slot block)
    {
        Span<char> head = stackalloc char[HeadCharacters];
        return string.Concat(head[..WriteHead(head, block)], StacksOf(block));
    }

    // The block stands, or is freed, by the time its texts are made, so nothing here may throw. Another block may have
    // taken the slot meanwhile; the texts are that block's then.
    private static void WriteTexts(int slot, in Slot block)
    {
        string stacks;
        try
        {
            stacks = StacksOf(block);
        }
        catch (OutOfMemoryException)
        {
            stacks = "   (the managed heap had no room for the stacks)\n";
        }
        Span<char> head = stackalloc char[HeadCharacters];
        head = head[..WriteHead(head, block)];
        s_lock.Acquire();
        if (s_slots[slot] == block)
        {
            Write(slot * PagesOfSlot, "underflow of ", head, stacks);
            Write(slot * PagesOfSlot + 1, block.IsLive ? "access to " : "use after free of ", head, stacks);
            Write(slot * PagesOfSlot + 2, "overflow of ", head, stacks);
        }
        s_lock.Release();
    }

    // As much as there is room for.
    private static void Write(int page, string mistake, ReadOnlySpan<char> head, string stacks)
    {
        byte* place = (byte*)s_texts.Address + page * FaultTexts.TextBytes;
        Span<byte> room = new(place + FaultTexts.HeaderBytes, FaultTexts.TextBytes - FaultTexts.HeaderBytes);
        Span<byte> rest = room;
        Append(ref rest, "NativeAlloc: ");
        Append(ref rest, mistake);
        Append(ref rest, head);
        Append(ref rest, stacks);
        Volatile.Write(ref *(long*)place, room.Length - rest.Length);
    }

    private static void Append(ref Span<byte> room, ReadOnlySpan<char> text)
    {
        Utf8.FromUtf16(text, room, out _, out int written);
        room = room[written..];
    }

    /// <summary>A block in a slot, or the last one that was there.</summary>
    private readonly record struct Slot(
        nuint Address, nuint Bytes, int AllocStack, int AllocThread, int FreeStack, int FreeThread, bool IsLive);
}
