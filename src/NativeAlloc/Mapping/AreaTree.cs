using System.Diagnostics;

namespace NativeAlloc.Mapping;

/// <summary>
/// The areas of a space in the order of their addresses, in a treap: a search tree by address whose shape is that of a
/// heap of random priorities. Each node knows the largest hole below it (as the kernel's augmented tree of free areas
/// does), so that finding an address and finding a hole are both O(log n).
/// </summary>
/// <remarks>
/// Not safe for several threads. Every area is in the tree; the first stands for the beginning of the space and is
/// never removed.
/// </remarks>
internal unsafe struct AreaTree
{
    /// <summary>No area.</summary>
    internal const uint None = 0;

    private VmallocArea* _areas;
    private uint _root;
    private uint _random;

    internal AreaTree(VmallocArea* areas)
    {
        _areas = areas;
        _root = None;
        _random = 0x9E3779B9; // any number but 0
    }

    /// <summary>The last area that begins at or before a page; <see cref="None"/> where there is none.</summary>
    internal readonly uint AtOrBefore(uint page)
    {
        uint found = None;
        for (uint node = _root; node != None;)
        {
            if (_areas[node].FirstPage > page)
            {
                node = _areas[node].Left;
                continue;
            }
            found = node;
            node = _areas[node].Right;
        }
        return found;
    }

    /// <summary>
    /// The first area behind which there is a hole of so many pages; <see cref="None"/> where there is none.
    /// </summary>
    internal readonly uint BeforeHole(uint pages)
    {
        if (LargestHole(_root) < pages) return None;
        uint node = _root;
        while (true)
        {
            if (LargestHole(_areas[node].Left) >= pages) node = _areas[node].Left;
            else if (_areas[node].HolePages >= pages) return node;
            else node = _areas[node].Right;
        }
    }

    /// <summary>Adds an area, whose address no other has.</summary>
    internal void Insert(uint node)
    {
        // Marsaglia's xorshift: any order of requests gives a shallow tree, also one that somebody chose.
        _random ^= _random << 13;
        _random ^= _random >> 17;
        _random ^= _random << 5;
        _areas[node].Priority = _random;
        _areas[node].Left = _areas[node].Right = None;
        Update(node);
        _root = Insert(_root, node);
    }

    internal void Remove(uint node) => _root = Remove(_root, node);

    /// <summary>Changes the hole behind an area.</summary>
    internal void SetHole(uint node, uint pages)
    {
        _areas[node].HolePages = pages;
        Refresh(_root, node);
    }

    private uint Insert(uint root, uint node)
    {
        if (root == None) return node;
        Debug.Assert(_areas[node].FirstPage != _areas[root].FirstPage, "no two areas begin at one address");
        if (_areas[node].FirstPage < _areas[root].FirstPage)
        {
            uint left = _areas[root].Left = Insert(_areas[root].Left, node);
            return _areas[left].Priority > _areas[root].Priority ? RotateRight(root, left) : Updated(root);
        }
        uint right = _areas[root].Right = Insert(_areas[root].Right, node);
        return _areas[right].Priority > _areas[root].Priority ? RotateLeft(root, right) : Updated(root);
    }

    private uint Remove(uint root, uint node)
    {
        Debug.Assert(root != None, "the area is in the tree");
        if (root == node) return Merge(_areas[root].Left, _areas[root].Right);
        if (_areas[node].FirstPage < _areas[root].FirstPage) _areas[root].Left = Remove(_areas[root].Left, node);
        else _areas[root].Right = Remove(_areas[root].Right, node);
        return Updated(root);
    }

    // All of one tree lie before all of the other.
    private uint Merge(uint left, uint right)
    {
        if (left == None) return right;
        if (right == None) return left;
        if (_areas[left].Priority > _areas[right].Priority)
        {
            _areas[left].Right = Merge(_areas[left].Right, right);
            return Updated(left);
        }
        _areas[right].Left = Merge(left, _areas[right].Left);
        return Updated(right);
    }

    private uint RotateRight(uint root, uint left)
    {
        _areas[root].Left = _areas[left].Right;
        _areas[left].Right = root;
        Update(root);
        return Updated(left);
    }

    private uint RotateLeft(uint root, uint right)
    {
        _areas[root].Right = _areas[right].Left;
        _areas[right].Left = root;
        Update(root);
        return Updated(right);
    }

    private void Refresh(uint root, uint node)
    {
        if (root != node)
            Refresh(_areas[node].FirstPage < _areas[root].FirstPage ? _areas[root].Left : _areas[root].Right, node);
        Update(root);
    }

    private uint Updated(uint node)
    {
        Update(node);
        return node;
    }

    private void Update(uint node) =>
        _areas[node].LargestHole =
            Math.Max(_areas[node].HolePages, Math.Max(LargestHole(_areas[node].Left), LargestHole(_areas[node].Right)));

    private readonly uint LargestHole(uint node) => node == None ? 0 : _areas[node].LargestHole;

    /// <summary>What is wrong with the tree; null if nothing is.</summary>
    internal readonly string? FindError(uint endPage, out uint count, uint firstPage = 0)
    {
        uint at = firstPage;
        count = 0;
        string? error = FindError(_root, uint.MaxValue, ref at, ref count);
        return error ?? (at == endPage ? null : $"the areas and holes end at page {at}, and the space at {endPage}");
    }

    private readonly string? FindError(uint node, uint priority, ref uint at, ref uint count)
    {
        if (node == None) return null;
        VmallocArea area = _areas[node];
        if (area.Priority > priority) return $"area {node} has a larger priority than the one above it";
        string? error = FindError(area.Left, area.Priority, ref at, ref count);
        if (error != null) return error;
        if (area.FirstPage != at)
            return $"area {node} begins at page {area.FirstPage}, and what is before it ends at {at}";
        if (area.GetState() == AreaState.None) return $"area {node} is not in use";
        at += area.Pages + VmallocArea.GuardPages + area.HolePages;
        count++;
        error = FindError(area.Right, area.Priority, ref at, ref count);
        if (error != null) return error;
        uint largest = Math.Max(area.HolePages, Math.Max(LargestHole(area.Left), LargestHole(area.Right)));
        return largest == area.LargestHole
            ? null
            : $"area {node} says {area.LargestHole} of the largest hole below it, which has {largest}";
    }
}
