using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// Clears resident memory: a block that is in the cache, or one after the other of many blocks, which together are too
/// large for any. As nobody clears memory that is not used afterwards, there also is a form that reads the block.
/// </summary>
public unsafe class ClearBenchmarks
{
    /// <summary>Eight times the largest of the usual last-level caches, 32 MiB.</summary>
    private const nuint PoolBytes = 256 << 20;

    // Coprime to any number of blocks that is a power of two: walks through all of them without two neighbours in a
    // row.
    private const uint Stride = 1237;

    private byte* _pool;
    private uint _next;

    /// <summary>The ways to clear; the last two let the kernel do it.</summary>
    public enum ClearWay
    {
        NativeMemory,
        VectorStores,
        NonTemporalStores,
        GiveBackAndFault,
        GiveBackAndPopulate,
    }

    [Params(64, 4096, 65_536)]
    public int KiB { get; set; }

    [ParamsAllValues]
    public ClearWay Way { get; set; }

    [ParamsAllValues]
    public bool Cold { get; set; }

    private nuint Bytes => (nuint)KiB << 10;

    [GlobalSetup]
    public void Map()
    {
        _pool = PrivatePages.Map(PoolBytes, PageMark.Small);
        NativeMemory.Fill(_pool, PoolBytes, 1);
    }

    [GlobalCleanup]
    public void Unmap() => PrivatePages.Unmap(_pool, PoolBytes);

    [Benchmark(Baseline = true)]
    public void Clear() => Clear(NextBlock());

    [Benchmark]
    public long ClearAndRead()
    {
        byte* block = NextBlock();
        Clear(block);
        return Sum(block, Bytes);
    }

    private byte* NextBlock() => Cold ? _pool + (_next++ * Stride % (uint)(PoolBytes / Bytes) * Bytes) : _pool;

    private void Clear(byte* block)
    {
        switch (Way)
        {
            case ClearWay.VectorStores:
                Clearings.ByStores(block, Bytes);
                break;
            case ClearWay.NonTemporalStores:
                Clearings.ByNonTemporalStores(block, Bytes);
                break;
            case ClearWay.GiveBackAndFault:
                Clearings.ByFaults(block, Bytes);
                break;
            case ClearWay.GiveBackAndPopulate:
                Clearings.ByPopulating(block, Bytes);
                break;
            default:
                NativeMemory.Clear(block, Bytes);
                break;
        }
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
