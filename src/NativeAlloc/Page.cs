using NativeAlloc.Common;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>
/// A page of 64 KiB, or the first of a block of pages (<c>struct page *</c>): a handle that says which it is, whether
/// it has an address or not. The default is no page at all.
/// </summary>
public readonly unsafe struct Page : IEquatable<Page>
{
    private readonly uint _indexPlusOne;

    internal Page(uint index) => _indexPlusOne = index + 1;

    internal uint Index => _indexPlusOne - 1;

    /// <summary>True for the default: no page.</summary>
    public bool IsNone => _indexPlusOne == 0;

    /// <summary>Where the page begins; null for a high page, which has no address of its own, and for none.</summary>
    public void* Address => IsNone || HighRegion.Contains(Index) ? null : (void*)LinearRegion.AddressOf(Index);

    /// <summary>
    /// The NUMA node that the page belongs to, from 0 in the order of the system's nodes that have memory.
    /// </summary>
    /// <exception cref="InvalidOperationException">It is no page.</exception>
    public int Node => ZoneIndex / Pages.Zone.KindCount;

    /// <summary>The kind of memory it is.</summary>
    /// <exception cref="InvalidOperationException">It is no page.</exception>
    public PageZone Zone => (PageZone)(ZoneIndex % Pages.Zone.KindCount);

    private int ZoneIndex
    {
        get
        {
            if (IsNone) ThrowHelper.ThrowNoPage();
            return LinearRegion.ZoneIndexOf(Index);
        }
    }

    /// <summary>Whether both are the same page, or both none.</summary>
    /// <param name="left">A page.</param>
    /// <param name="right">Another.</param>
    /// <returns>True if they are the same.</returns>
    public static bool operator ==(Page left, Page right) => left.Equals(right);

    /// <summary>Whether they are different pages.</summary>
    /// <param name="left">A page.</param>
    /// <param name="right">Another.</param>
    /// <returns>True if they differ.</returns>
    public static bool operator !=(Page left, Page right) => !left.Equals(right);

    /// <inheritdoc/>
    public bool Equals(Page other) => _indexPlusOne == other._indexPlusOne;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Page other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _indexPlusOne.GetHashCode();

    /// <summary>The page's index, node, zone and address.</summary>
    /// <returns>A line for people.</returns>
    public override string ToString() => IsNone ? "no page"
        : Address == null ? $"page {Index} (node {Node}, {Zone})"
        : $"page {Index} (node {Node}, {Zone}, 0x{(nuint)Address:x})";
}
