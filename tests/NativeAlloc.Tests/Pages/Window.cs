using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Tests.Pages;

/// <summary>High pages mapped at addresses of their own, so that a test can touch them.</summary>
internal sealed unsafe class Window : IDisposable
{
    private readonly nuint _address, _bytes;

    internal Window(uint page, uint count)
    {
        _bytes = (nuint)count << PageGeometry.PageShift;
        if (!VirtualMemory.TryReserveForFiles(_bytes, _bytes, PageGeometry.PageBytes, out _address)
            || !VirtualMemory.TryMapFile(HighRegion.File, HighRegion.OffsetOf(page), _address, _bytes))
        {
            throw new InvalidOperationException("the pages cannot be mapped");
        }
    }

    /// <summary>The so-manieth page.</summary>
    internal Span<byte> Page(uint index) =>
        new((void*)(_address + ((nuint)index << PageGeometry.PageShift)), (int)PageGeometry.PageBytes);

    public void Dispose() => VirtualMemory.Release(_address, _bytes);
}
