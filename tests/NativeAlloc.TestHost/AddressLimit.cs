using System.Globalization;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may have so many MiB of addresses more than it has (<c>ulimit -v</c>). The library works there, and
/// takes no more than half of them.
/// </summary>
internal static unsafe class AddressLimit
{
    internal const string Name = "address-limit";

    private const nuint SmallBytes = 16, MediumBytes = 100_000, AreaBytes = 2 << 20;

    internal static int Run(string[] arguments)
    {
        long more = long.Parse(arguments[0], CultureInfo.InvariantCulture) << 20;
        long before = ProcessMemory.AddressBytes();
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(AddressBytes, limits) != 0) return Complain("the limit cannot be read");
        limits[0] = (ulong)(before + more);
        if (SetLimit(AddressBytes, limits) != 0) return Complain("the limit cannot be set");
        foreach (nuint bytes in (ReadOnlySpan<nuint>)[SmallBytes, MediumBytes, AreaBytes])
        {
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            new Span<byte>(block, (int)bytes).Fill(1);
            NativeAllocator.Free(block);
        }
        long taken = ProcessMemory.AddressBytes() - before;
        return taken <= more / 2 ? 0 : Complain($"{taken >> 20} of {more >> 20} MiB are taken");
    }
}
