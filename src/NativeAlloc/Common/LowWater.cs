namespace NativeAlloc.Common;

/// <summary>
/// A low-water mark: the fewest that there were of something since the mark was read last. So many nobody needed in
/// between, and the layer that keeps them can give them back.
/// </summary>
/// <remarks>Where threads use one without a lock, a lost update makes it a little too high.</remarks>
internal struct LowWater
{
    private ulong _least;

    /// <summary>The fewest since the mark was read last.</summary>
    internal readonly ulong Least => Volatile.Read(in _least);

    /// <summary>Notes how many are left after some were taken.</summary>
    internal void Note(ulong left)
    {
        if (left < Least) Volatile.Write(ref _least, left);
    }

    /// <summary>The fewest since the last call; from here on it counts anew.</summary>
    /// <param name="now">How many there are at present.</param>
    internal ulong ReadAndReset(ulong now)
    {
        ulong least = Math.Min(Least, now);
        Volatile.Write(ref _least, now);
        return least;
    }
}
