using System.Diagnostics;

namespace NativeAlloc.Os;

/// <summary>
/// Address space for the allocator's own tables, reserved at once and committed from its start in steps, so that an
/// array in it grows without ever moving. Memory comes with the first touch and reads as zero.
/// </summary>
internal unsafe struct MetadataRegion
{
    /// <summary>
    /// First address; 0 as long as even the reservation is refused. Set under the owner's lock, before there is
    /// anything to read: any thread that has seen <see cref="CommittedBytes"/> may read it.
    /// </summary>
    internal nuint Address;

    /// <summary>Bytes reserved; before that, those that are wanted.</summary>
    internal nuint Bytes;

    /// <summary>It does with fewer addresses than are wanted.</summary>
    private bool _canBeShort;

    /// <summary>Bytes from the start that may be touched. Grown under the owner's lock, read by any thread.</summary>
    private nuint _committedBytes;

    // Committing in larger steps than asked keeps the number of system calls small; it costs no memory before the
    // touch.
    internal const int StepBytes = 1 << 20;

    internal readonly nuint CommittedBytes => Volatile.Read(in _committedBytes);

    /// <summary>
    /// Whether any of it may be touched. An address alone does not say so: the system may have refused to commit.
    /// </summary>
    internal readonly bool IsUsable => CommittedBytes != 0;

    /// <summary>A table that has a place for everything, and is of no use with less.</summary>
    internal static MetadataRegion Reserve(nuint bytes)
    {
        MetadataRegion region = default;
        region.Bytes = RoundUp(bytes);
        if (bytes != 0) region.TryReserve(); // a table for nothing
        return region;
    }

    /// <summary>
    /// A table whose entries come one after the other. Where addresses are few it gets a share of them, and ends
    /// sooner.
    /// </summary>
    internal static MetadataRegion ReserveUpTo(nuint bytes)
    {
        MetadataRegion region = default;
        region.Bytes = RoundUp(bytes);
        region._canBeShort = true;
        region.TryReserve();
        return region;
    }

    /// <summary>
    /// The same at a low address, if there is one: a table there is reached without its address in a register.
    /// </summary>
    internal static MetadataRegion ReserveLow(nuint bytes)
    {
        bytes = RoundUp(bytes);
        return VirtualMemory.TryReserveLow(bytes, out nuint address) ? Within(address, bytes) : Reserve(bytes);
    }

    /// <summary>A part of a reservation that grows by itself; it is released with the whole.</summary>
    internal static MetadataRegion Within(nuint address, nuint bytes)
    {
        MetadataRegion region = default;
        region.Address = address;
        region.Bytes = bytes;
        return region;
    }

    private static nuint RoundUp(nuint bytes) => (bytes + (StepBytes - 1)) & ~(nuint)(StepBytes - 1);

    // Where the system refused the reservation it is asked again at the next commit, so that a bad moment at start does
    // not last.
    private bool TryReserve()
    {
        if (Address != 0) return true;
        nuint bytes = _canBeShort ? Math.Max(RoundUp(AddressShare.Of(Bytes, AddressPart)), StepBytes) : Bytes;
        while (!VirtualMemory.TryReserve(bytes, VirtualMemory.PageBytes, out Address))
        {
            if (!_canBeShort || bytes == StepBytes) return false;
            bytes = RoundUp(bytes / 2);
        }
        Bytes = bytes;
        return true;
    }

    // Where addresses are few, a table that can be short has so many of what is left: one part in 64. The pages and
    // areas that it tells of are much more.
    private const uint AddressPart = 64;

    /// <summary>
    /// Makes the first <paramref name="bytes"/> usable. False where the system refuses or the region ends before.
    /// </summary>
    internal bool TryCommitTo(nuint bytes)
    {
        nuint committed = CommittedBytes;
        if (bytes <= committed) return true;
        if (bytes > Bytes || !TryReserve()) return false;
        nuint target = Math.Min(Bytes, RoundUp(bytes));
        if (!VirtualMemory.TryCommit(Address + committed, target - committed)) return false;
        Volatile.Write(ref _committedBytes, target);
        return true;
    }

    internal void Release()
    {
        Debug.Assert(Address != 0, "released twice");
        VirtualMemory.Release(Address, Bytes);
        this = default;
    }
}
