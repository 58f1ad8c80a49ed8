using NativeAlloc.Os;

namespace NativeAlloc.Mapping;

/// <summary>
/// Which areas get huge pages. Their first touch is many times faster by huge pages, but each brings 2 MiB, and what a
/// program writes into a large block only the program knows. So areas begin without, and those that are freed show
/// whether they were written throughout: then as much again may have huge pages, and no more.
/// </summary>
/// <remarks>
/// <b>Credit</b> is what may be asked for: bytes of freed areas that were written throughout. Asking for huge pages
/// uses it up; the area brings it back when it is freed. One freed area that was written here and there ends all of it.
/// Any thread; a lost update makes it a little too small or too large.
/// </remarks>
internal static unsafe class AreaDensity
{
    /// <summary>
    /// Areas from here on may get huge pages. A quarter of it is what the last huge page can cost an area that is not
    /// used to its end.
    /// </summary>
    internal const nuint SmallestBytes = 4 * VirtualMemory.HugePageBytes;

    /// <summary>Areas from here on get huge pages at once: there the time is worth more than the memory.</summary>
    internal const nuint SureBytes = 64 << 20;

    // A program that has written much densely, and goes on otherwise, has so much more resident at most.
    private const nuint MostCredit = 256 << 20;

    // Each freed area lets as many bytes again have huge pages, and as many more.
    private const nuint CreditTimes = 2;

    // Looked at in a freed area, evenly spread: some microseconds, against the milliseconds that its first touch took.
    private const nuint Samples = 16;

    /// <summary>Bytes for which huge pages may be asked. Any thread, by Volatile.</summary>
    private static nuint s_credit;

    internal static nuint Credit
    {
        get => Volatile.Read(ref s_credit);
        set => Volatile.Write(ref s_credit, Math.Min(value, MostCredit));
    }

    /// <summary>Whether an area that becomes so long gets huge pages.</summary>
    internal static bool WantsHuge(nuint areaBytes) => Options.HugePages && areaBytes >= SmallestBytes
        && (Options.AlwaysHugePages || areaBytes >= SureBytes || Credit >= areaBytes);

    /// <summary>Notes that a part of an area gets huge pages.</summary>
    internal static void NoteAdvised(nuint bytes) => Credit -= Math.Min(Credit, bytes);

    /// <summary>Looks at what an area that its user gives back had in memory. The caller has it busy.</summary>
    internal static void NoteFreed(VmallocArea* area)
    {
        nuint bytes = area->UsedBytes;
        if (bytes < SmallestBytes || !Options.HugePages || Options.AlwaysHugePages) return;
        // With huge pages it has memory everywhere, whatever was written.
        if (area->Huge) Credit += bytes;
        else if (IsDense(VmallocSpace.AddressOf(area), bytes)) Credit += CreditTimes * bytes;
        else Credit = 0;
    }

    private static bool IsDense(nuint address, nuint bytes)
    {
        nuint step = (bytes / Samples) & ~(VirtualMemory.PageBytes - 1);
        // Not the beginning, which nearly every program writes.
        for (nuint at = step / 2 & ~(VirtualMemory.PageBytes - 1); at < bytes; at += step)
            if (!HasMemory(address + at)) return false;
        return true;
    }

    // False where the system does not say.
    private static bool HasMemory(nuint address)
    {
        byte state = 0;
        return VirtualMemory.TryReadResident(address, VirtualMemory.PageBytes, &state) && (state & 1) != 0;
    }
}
