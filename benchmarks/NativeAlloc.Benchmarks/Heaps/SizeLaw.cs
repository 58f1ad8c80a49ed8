using System.Numerics;
using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Heaps;

/// <summary>
/// How sizes are distributed between two bounds: equally, or with as many in every octave (16 to 31 bytes, 32 to
/// 63...), so that small ones are the most frequent.
/// </summary>
internal readonly struct SizeLaw
{
    private readonly uint _min;
    private readonly uint _max;

    /// <summary>0 for equally distributed sizes.</summary>
    private readonly uint _octaves;

    private SizeLaw(uint min, uint max, uint octaves)
    {
        _min = min;
        _max = max;
        _octaves = octaves;
    }

    /// <summary>The most there is.</summary>
    public uint Max => _max;

    public double Mean =>
        _octaves == 0 ? (_min + (double)_max) / 2 : 1.5 * _min * ((1L << (int)_octaves) - 1) / _octaves;

    /// <summary>Equally distributed sizes, both bounds included.</summary>
    public static SizeLaw Uniform(uint min, uint max) => new(min, max, 0);

    /// <summary>As many sizes in each octave.</summary>
    public static SizeLaw Octaves(uint min, int octaves) => new(min, (min << octaves) - 1, (uint)octaves);

    /// <summary>What the parameters <c>minsize</c>, <c>maxsize</c> and <c>sizes</c> ask for.</summary>
    /// <exception cref="UsageException">The bounds of octaves are not a power of two apart.</exception>
    public static SizeLaw Of(WorkloadParameters parameters, int min, int max)
    {
        uint least = (uint)parameters.Number("minsize", min, 8, 1 << 20);
        uint most = (uint)parameters.Number("maxsize", max, (int)least, 1 << 26);
        if (parameters.Choice("sizes", "uniform", "octaves") == "uniform")
            return Uniform(least, most);
        int octaves = BitOperations.Log2(most / least);
        return octaves >= 1 && least << octaves == most
            ? Octaves(least, octaves)
            : throw new UsageException(
                $"'{parameters.Text}': octaves need a maxsize that is minsize times a power of two");
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Draw(ref Dice dice)
    {
        if (_octaves == 0)
            return dice.Between(_min, _max);
        uint least = _min << (int)dice.Below(_octaves);
        return least + dice.Below(least);
    }
}
