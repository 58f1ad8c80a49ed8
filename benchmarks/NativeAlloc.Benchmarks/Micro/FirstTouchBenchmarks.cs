using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// What growth rests on, without any allocator: every small page of fresh memory is written to in ascending order, and
/// memory that was written to is given back. Both times are those of the whole range.
/// </summary>
public unsafe class FirstTouchBenchmarks
{
    private byte* _range;

    /// <summary>How memory comes to a batch of addresses before they are written to.</summary>
    public enum TouchWay
    {
        /// <summary>It does not: faults of 4 KiB bring it.</summary>
        Faults,

        /// <summary>By <c>MADV_POPULATE_WRITE</c>, 256 KiB at a time.</summary>
        Populate,

        /// <summary>Faults bring huge pages.</summary>
        HugeFaults,

        /// <summary>Huge pages by <c>MADV_POPULATE_WRITE</c>, 2 MiB at a time.</summary>
        HugePopulate,

        /// <summary>A small page of every 2 MiB is touched and becomes a huge one by <c>MADV_COLLAPSE</c>.</summary>
        Collapse,

        /// <summary>2 MiB at a time are marked for huge pages, populated, and marked for small ones again.</summary>
        MarkAndPopulate,
    }

    [Params(2, 64, 256)]
    public int MiB { get; set; }

    [ParamsAllValues]
    public TouchWay Way { get; set; }

    private nuint Bytes => (nuint)MiB << 20;

    [GlobalSetup]
    public void Map() => _range = PrivatePages.Map(Bytes, Way switch
    {
        TouchWay.HugeFaults or TouchWay.HugePopulate => PageMark.Huge,
        TouchWay.Collapse => PageMark.None,
        _ => PageMark.Small,
    });

    [GlobalCleanup]
    public void Unmap() => PrivatePages.Unmap(_range, Bytes);

    [IterationSetup(Target = nameof(Touch))]
    public void Empty() => PrivatePages.GiveBack(_range, Bytes);

    [IterationSetup(Target = nameof(GiveBack))]
    public void Fill() => Touch();

    [Benchmark(Baseline = true)]
    public void Touch()
    {
        nuint batch = Way == TouchWay.Populate ? 256 << 10 : PrivatePages.HugePageBytes;
        for (nuint at = 0; at < Bytes; at += batch)
        {
            Prepare(_range + at, batch);
            for (nuint page = at; page < at + batch; page += PrivatePages.SmallPageBytes)
                Volatile.Write(ref _range[page], 1);
        }
    }

    [Benchmark]
    public void GiveBack() => PrivatePages.GiveBack(_range, Bytes);

    private void Prepare(byte* batch, nuint bytes)
    {
        switch (Way)
        {
            case TouchWay.Populate or TouchWay.HugePopulate:
                PrivatePages.Populate(batch, bytes);
                break;
            case TouchWay.Collapse:
                Volatile.Write(ref *batch, 1);
                PrivatePages.Collapse(batch, bytes);
                break;
            case TouchWay.MarkAndPopulate:
                PrivatePages.Mark(batch, bytes, PageMark.Huge);
                PrivatePages.Populate(batch, bytes);
                PrivatePages.Mark(batch, bytes, PageMark.Small);
                break;
            default:
                break;
        }
    }
}
