using System.Numerics;

namespace NativeAlloc.Os;

/// <summary>
/// How many addresses a table or a region may reserve where the process may have only so many (<c>ulimit -v</c>). What
/// is reserved counts there as what is used: threads, the managed heap and the C library need the rest.
/// </summary>
internal static class AddressShare
{
    /// <summary>
    /// What is wanted, or a part of what is left if that is less: then a power of two. Without a limit what is wanted.
    /// </summary>
    /// <param name="wantedBytes">As without a limit.</param>
    /// <param name="part">The least that is left for others, against this: 4 means a quarter of what is left.</param>
    internal static nuint Of(nuint wantedBytes, uint part) =>
        Of(wantedBytes, part, Machine.Read(SystemFigure.AddressSpaceLimitBytes),
            Machine.Read(SystemFigure.AddressSpaceBytes));

    /// <summary>The same with figures of the system that are known.</summary>
    internal static nuint Of(nuint wantedBytes, uint part, ulong? limitBytes, ulong? usedBytes)
    {
        if (limitBytes is not { } limit) return wantedBytes;
        ulong share = (limit - Math.Min(limit, usedBytes ?? 0)) / part;
        if (share >= wantedBytes) return wantedBytes;
        return share == 0 ? 0 : (nuint)1 << BitOperations.Log2(share);
    }
}
