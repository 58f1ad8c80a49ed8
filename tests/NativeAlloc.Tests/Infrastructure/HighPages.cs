using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Single high pages that a test has until it ends; they begin as zero.</summary>
internal sealed class HighPages : IDisposable
{
    private readonly Page[] _pages;

    internal HighPages(int count)
    {
        _pages = new Page[count];
        for (int i = 0; i < count; i++)
        {
            _pages[i] = PageAllocator.AllocPage(PageFlags.High | PageFlags.Zeroed);
            Assert.Equal(PageZone.High, _pages[i].Zone);
        }
    }

    internal int Count => _pages.Length;

    internal Page this[int index] => _pages[index];

    internal ReadOnlySpan<Page> AsSpan() => _pages;

    public void Dispose()
    {
        foreach (Page page in _pages) PageAllocator.FreePage(page);
    }
}
