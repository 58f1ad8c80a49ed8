using System.Globalization;
using System.Text;
using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc.Checking;

/// <summary>
/// The blocks of check mode: those that users hold, and the <b>quarantine</b>, in which freed blocks lie until newer
/// ones push them out. Whatever was written to a freed block is found then, or by <see cref="Check"/>.
/// </summary>
/// <remarks>
/// One lock guards all of it. Nothing is called under it but what writes and reads memory; stacks are captured before
/// it is taken, and errors are told after it is released.
/// </remarks>
internal static unsafe class CheckedBlocks
{
    /// <summary>The most bytes in the quarantine, and the most blocks.</summary>
    private const nuint MostQuarantinedBytes = 64 << 20;
    private const uint MostQuarantinedBlocks = 1 << 18;

    private static NativeLock s_lock;
    private static BlockTable s_table;

    /// <summary>The quarantine, oldest block first. Under the lock.</summary>
    private static uint s_oldest, s_newest, s_quarantinedBlocks;
    private static nuint s_quarantinedBytes;

    /// <summary>Adds a block that was allocated just now, with its red zones. False where there is no memory.</summary>
    internal static bool TryAdd(CheckedBlock block, bool poison)
    {
        block.AllocStack = CallStacks.Capture();
        block.AllocThread = Environment.CurrentManagedThreadId;
        RedZones.Prepare(block, poison);
        s_lock.Acquire();
        uint number = s_table.Add(block);
        s_lock.Release();
        return number != 0;
    }

    /// <summary>The block whose inner block begins at an address; false for none.</summary>
    internal static bool TryFind(nuint inner, out CheckedBlock block)
    {
        s_lock.Acquire();
        uint number = s_table.Find(inner);
        block = number != 0 ? *s_table.At(number) : default;
        s_lock.Release();
        return number != 0;
    }

    /// <summary>
    /// Puts a block into the quarantine. Returns what is wrong with that, and then nothing is done; null where nothing
    /// is, or check mode does not know the block.
    /// </summary>
    /// <param name="inner">Where its inner block begins.</param>
    /// <param name="pointer">As it was passed.</param>
    /// <param name="isKnown">Check mode knows the block.</param>
    internal static string? Free(nuint inner, nuint pointer, out bool isKnown)
    {
        int stack = CallStacks.Capture(), thread = Environment.CurrentManagedThreadId;
        s_lock.Acquire();
        uint number = s_table.Find(inner);
        isKnown = number != 0;
        CheckedBlock found = default;
        bool isWrong = false;
        if (isKnown)
        {
            CheckedBlock* block = s_table.At(number);
            found = *block;
            isWrong = found.IsFree != 0 || found.Address != pointer || IsDamaged(found);
            if (!isWrong)
            {
                block->FreeStack = stack;
                block->FreeThread = thread;
                block->IsFree = 1;
                if (block->KeepsContents == 0) RedZones.PoisonFreed(*block);
                AddToQuarantine(number, block);
            }
        }
        s_lock.Release();
        return isWrong ? Explain(found, pointer) : null;
    }

    /// <summary>
    /// Takes a block out of the quarantine that has no room there, for its inner block to be freed; false where there
    /// is none. Ends the process where the block was written to.
    /// </summary>
    /// <param name="all">Of whatever age.</param>
    internal static bool TryTakeOut(bool all, out CheckedBlock block)
    {
        s_lock.Acquire();
        bool isTaken = s_oldest != 0
            && (all || s_quarantinedBytes > MostQuarantinedBytes || s_quarantinedBlocks > MostQuarantinedBlocks);
        block = default;
        if (isTaken)
        {
            uint number = s_oldest;
            block = *s_table.At(number);
            s_oldest = block.NextInQuarantine;
            if (s_oldest == 0) s_newest = 0;
            s_quarantinedBlocks--;
            s_quarantinedBytes -= block.End - block.Address;
            s_table.Remove(number);
        }
        s_lock.Release();
        if (isTaken && FindDamage(block) is { } damage) FatalError.Stop("NativeAlloc: " + damage);
        return isTaken;
    }

    /// <summary>Looks through all blocks and returns what is wrong, a paragraph each.</summary>
    internal static string Check()
    {
        List<CheckedBlock> damaged = [];
        s_lock.Acquire();
        try
        {
            for (uint number = 1; number < s_table.End; number++)
                if (s_table.At(number)->Inner != 0 && IsDamaged(*s_table.At(number))) damaged.Add(*s_table.At(number));
        }
        finally
        {
            s_lock.Release();
        }
        return string.Join('\n', damaged.Select(block => FindDamage(block)));
    }

    /// <summary>The blocks that users hold, added up by the stack that allocated them; the most bytes first.</summary>
    internal static List<LiveBlocks> ReadLive()
    {
        Dictionary<int, LiveBlocks> byStack = [];
        s_lock.Acquire();
        try
        {
            for (uint number = 1; number < s_table.End; number++)
            {
                CheckedBlock* block = s_table.At(number);
                if (block->Inner == 0 || block->IsFree != 0) continue;
                LiveBlocks before = byStack.GetValueOrDefault(block->AllocStack, new(block->AllocStack, 0, 0));
                byStack[block->AllocStack] =
                    before with { Blocks = before.Blocks + 1, Bytes = before.Bytes + block->Bytes };
            }
        }
        finally
        {
            s_lock.Release();
        }
        return [.. byStack.Values.OrderByDescending(live => live.Bytes)];
    }

    /// <summary>What is wrong with a pointer: it was freed, or points into the block; null for nothing.</summary>
    internal static string? FindMisuse(in CheckedBlock block, nuint pointer) =>
        block.IsFree != 0 || block.Address != pointer ? Explain(block, pointer) : null;

    /// <summary>Size, address, and who allocated and freed a block.</summary>
    internal static string Describe(in CheckedBlock block)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture,
            $"the block of {block.Bytes} bytes at 0x{block.Address:x}, allocated by thread {block.AllocThread}:\n");
        text.Append(CallStacks.TextOf(block.AllocStack));
        if (block.IsFree == 0) return text.ToString();
        text.Append(CultureInfo.InvariantCulture, $"freed by thread {block.FreeThread}:\n");
        return text.Append(CallStacks.TextOf(block.FreeStack)).ToString();
    }

    private static void AddToQuarantine(uint number, CheckedBlock* block)
    {
        if (s_newest != 0) s_table.At(s_newest)->NextInQuarantine = number;
        else s_oldest = number;
        s_newest = number;
        s_quarantinedBlocks++;
        s_quarantinedBytes += block->End - block->Address;
    }

    private static string Explain(in CheckedBlock block, nuint pointer)
    {
        nint distance = unchecked((nint)(pointer - block.Address));
        if (distance != 0)
            return $"0x{pointer:x} is not the beginning of a block: it lies {distance} bytes from the beginning of " +
                Describe(block);
        if (block.IsFree != 0) return $"0x{pointer:x} is free already. It is {Describe(block)}";
        return FindDamage(block) ?? "";
    }

    private static bool IsDamaged(in CheckedBlock block) =>
        RedZones.FindUnderflow(block) != 0 || RedZones.FindOverflow(block) != 0
        || (block.IsFree != 0 && RedZones.FindUseAfterFree(block) != 0);

    private static string? FindDamage(in CheckedBlock block)
    {
        nuint end = block.Address + block.Bytes;
        if (RedZones.FindUnderflow(block) is var before and not 0)
            return $"underflow: 0x{before:x} was written to, {block.Address - before} bytes before {Describe(block)}";
        if (RedZones.FindOverflow(block) is var behind and not 0)
            return $"overflow: 0x{behind:x} was written to, {behind - end} bytes behind the end of {Describe(block)}";
        if (block.IsFree != 0 && RedZones.FindUseAfterFree(block) is var inside and not 0)
            return $"use after free: 0x{inside:x} was written to, {inside - block.Address} bytes inside " +
                $"{Describe(block)}";
        return null;
    }
}

/// <summary>Live blocks that one stack has allocated.</summary>
/// <param name="Stack">See <see cref="CallStacks"/>.</param>
internal readonly record struct LiveBlocks(int Stack, long Blocks, nuint Bytes);
