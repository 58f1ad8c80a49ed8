using System.Runtime.CompilerServices;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// Random numbers (xorshift64*) that cost about a nanosecond, so that drawing them does not hide what an allocator
/// costs. A value type: every thread has its own, on its stack.
/// </summary>
internal struct Dice
{
    private ulong _state;

    /// <param name="seed">The workload's seed.</param>
    /// <param name="stream">Tells apart the threads, and whatever else draws independently.</param>
    public Dice(int seed, int stream)
    {
        unchecked
        {
            // SplitMix64's step and finish: neighbouring seeds give unrelated states.
            ulong mixed = (((ulong)(uint)seed << 32) | (uint)stream) + 0x9E3779B97F4A7C15;
            mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
            _state = (mixed ^ (mixed >> 31)) | 1; // zero would stay zero
        }
    }

    /// <summary>64 random bits; the upper ones are the better ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Next()
    {
        ulong state = _state;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        _state = state;
        return unchecked(state * 0x2545F4914F6CDD1D);
    }

    /// <summary>0 up to, but not including, the bound.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Below(uint bound) => (uint)(((Next() >> 32) * bound) >> 32);

    /// <summary>Both ends included.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Between(uint min, uint max) => min + Below(max - min + 1);

    /// <summary>True in so many of a hundred cases.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Percent(uint percent) => Below(100) < percent;

    /// <summary>0 up to, but not including, 1.</summary>
    public double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));
}
