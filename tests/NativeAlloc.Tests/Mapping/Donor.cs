using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Free pages of the buddy that hold a pattern still: what areas are gathered from. It is to be the only such memory,
/// so it trims first.
/// </summary>
internal sealed unsafe class Donor : IDisposable
{
    internal const ulong Id = 77;

    // Keeps a slab of its class, so that no page is taken for the array of an area's runs.
    private readonly void* _small;

    private readonly byte* _address;
    private readonly nuint _bytes;

    internal Donor(nuint bytes)
    {
        NativeAllocator.Trim();
        _small = NativeAllocator.Alloc(8);
        _bytes = bytes;
        _address = (byte*)PageAllocator.AllocExact(bytes);
        FirstPage = (uint)LinearRegion.PageIndexOf(_address);
        Pattern.Fill(_address, bytes, Id);
        NativeAllocator.Free(_address);
        Assert.Equal(Pages, DirtyPages);
    }

    internal uint FirstPage { get; }

    internal uint Pages => (uint)(_bytes >> PageGeometry.PageShift);

    /// <summary>How many of the pages may have memory behind them.</summary>
    internal uint DirtyPages =>
        (uint)Enumerable.Range((int)FirstPage, (int)Pages).Count(page => LinearRegion.Dirty.IsSet((uint)page));

    /// <summary>Whether the old contents are to be seen at the pages themselves.</summary>
    internal bool ReadsAsZero => Pattern.FindNonZero(_address, _bytes) == Pattern.None;

    public void Dispose()
    {
        NativeAllocator.Free(_small);
        NativeAllocator.Trim();
    }
}
