using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Slabs;

/// <summary>
/// A set of a thread's loaded magazines: a bit for each class byte. Changed by Interlocked, as those who may change one
/// bit are not always kept from those who may change another in the same word.
/// </summary>
[InlineArray(Words)]
internal struct SideSet
{
    private const int Words = CacheTable.Sides / WordBits, WordBits = 64;

    private ulong _first;

    internal readonly bool Contains(int side) => (Volatile.Read(in WordOf(side)) >> side & 1) != 0;

    internal readonly bool IsEmpty => Next(0) < 0;

    internal void Add(int side) => Interlocked.Or(ref WordOf(side), 1UL << side);

    internal void Remove(int side) => Interlocked.And(ref WordOf(side), ~(1UL << side));

    /// <summary>The first of the set from a side on; -1 where there is none.</summary>
    internal readonly int Next(int side)
    {
        for (; side < CacheTable.Sides; side = (side / WordBits + 1) * WordBits)
        {
            ulong rest = Volatile.Read(in WordOf(side)) >> side;
            if (rest != 0) return side + BitOperations.TrailingZeroCount(rest);
        }
        return -1;
    }

    // Without a span, which the JIT would have to compile before the first block: see NodeSlabs.
    [UnscopedRef]
    private readonly ref ulong WordOf(int side)
    {
        Debug.Assert((uint)side < CacheTable.Sides, "there is such a side");
        return ref Unsafe.Add(ref Unsafe.AsRef(in _first), side / WordBits);
    }
}
