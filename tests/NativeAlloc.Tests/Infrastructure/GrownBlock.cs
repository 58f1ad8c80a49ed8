using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// A large block that grew where it stands to several times its size, and so does not begin at a multiple of what its
/// size would call for.
/// </summary>
internal sealed unsafe class GrownBlock : IDisposable
{
    private const nuint FirstBytes = Sizes.MiB;

    private const int MostOthers = 10_000;

    private readonly List<nint> _others = [];

    internal GrownBlock()
    {
        NativeAllocator.Trim();
        // The beginning of a section that is free as a whole, and the block that follows it; what comes from elsewhere
        // is not wanted.
        nuint section = (nuint)NativeAllocator.AlignedAlloc(FirstBytes, Sizes.LargestPages);
        _others.Add((nint)section);
        byte* first = (byte*)NativeAllocator.Alloc(FirstBytes);
        while ((nuint)first != section + FirstBytes && _others.Count < MostOthers)
        {
            _others.Add((nint)first);
            first = (byte*)NativeAllocator.Alloc(FirstBytes);
        }
        Address = first;
        for (Bytes = FirstBytes; Bytes < 20 * FirstBytes; Bytes += FirstBytes)
            Address = (byte*)NativeAllocator.Realloc(Address, Bytes + FirstBytes);
        Assert.True(Address == first && (nuint)Address == section + FirstBytes,
            "the block did not grow in place, so nothing can be proved with it");
    }

    internal byte* Address { get; }

    internal nuint Bytes { get; }

    public void Dispose()
    {
        NativeAllocator.Free(Address);
        foreach (nint other in _others) NativeAllocator.Free((void*)other);
    }
}
