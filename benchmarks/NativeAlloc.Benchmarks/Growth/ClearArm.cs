using System.Diagnostics;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Growth;

/// <summary>The names of what <see cref="ClearArm{TClearing}"/> measures.</summary>
internal static class ClearTask
{
    public const string Name = "clear";

    public const string Warm = "warm";
    public const string WarmAndRead = "warm, then read";
    public const string Cold = "cold";
    public const string ColdAndRead = "cold, then read";
}

/// <summary>
/// Clears resident memory: the block that was written to right before (<b>warm</b>), and one after the other of many blocks, which
/// together are too large for any cache (<b>cold</b>). As nobody clears memory that is not used afterwards, each is also measured with
/// a read of the whole block behind it. Figures are ns per block.
/// </summary>
internal sealed unsafe class ClearArm<TClearing>(string way, nuint bytes, bool huge) : GrowthArm(ClearTask.Name, way, bytes)
    where TClearing : struct, IClearing
{
    /// <summary>Eight times the largest of the usual last-level caches, 32 MiB.</summary>
    private const nuint PoolBytes = 256 << 20;

    // Coprime to any number of blocks that is a power of two: walks through all of them without two neighbours in a row.
    private const uint Stride = 1237;

    private const int WarmUpRepeats = 64;

    /// <summary>Keeps the reads from being left out.</summary>
    private static long s_sum;

    private readonly byte* _pool = PrivatePages.Map(PoolBytes, huge ? PageMark.Huge : PageMark.Small);

    public override List<GrowthFigure> Measure()
    {
        NativeMemory.Fill(_pool, PoolBytes, 1);
        Tiering.RunUntilOptimised(() =>
        {
            for (int i = 0; i < WarmUpRepeats; i++)
                Time(_pool, PrivatePages.SmallPageBytes, read: true);
        });
        // What the warm-up has given back is whole again.
        PrivatePages.GiveBack(_pool, PrivatePages.HugePageBytes);
        NativeMemory.Fill(_pool, PrivatePages.HugePageBytes, 1);

        return
        [
            MeasureWarm(ClearTask.Warm, read: false),
            MeasureWarm(ClearTask.WarmAndRead, read: true),
            MeasureCold(ClearTask.Cold, read: false),
            MeasureCold(ClearTask.ColdAndRead, read: true),
        ];
    }

    private GrowthFigure MeasureWarm(string name, bool read)
    {
        List<double> samples = [];
        Sampling.Repeat(_ =>
        {
            NativeMemory.Fill(_pool, Bytes, 1);
            samples.Add(Time(_pool, Bytes, read));
        });
        return GrowthFigure.Of(name, samples);
    }

    private GrowthFigure MeasureCold(string name, bool read)
    {
        uint blocks = (uint)(PoolBytes / Bytes);
        Debug.Assert(BitOperations.IsPow2(blocks), "the stride visits every block of a power of two");
        List<double> samples = [];
        Sampling.Repeat(i => samples.Add(Time(_pool + ((uint)i * Stride % blocks * Bytes), Bytes, read)));
        return GrowthFigure.Of(name, samples);
    }

    private static double Time(byte* block, nuint length, bool read)
    {
        long start = Stopwatch.GetTimestamp();
        TClearing.Clear(block, length);
        if (read)
            s_sum += Sum(block, length);
        return (Stopwatch.GetTimestamp() - start) * (1e9 / Stopwatch.Frequency);
    }

    private static long Sum(byte* block, nuint length)
    {
        Vector256<long> a = default, b = default;
        for (byte* end = block + length; block < end; block += 64)
        {
            a += Vector256.Load((long*)block);
            b += Vector256.Load((long*)(block + 32));
        }

        return Vector256.Sum(a + b);
    }
}
