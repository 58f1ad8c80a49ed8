using System.Runtime.CompilerServices;
using NativeAlloc.Diagnostics;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Profiling;

/// <summary>
/// Proves that the report about fragmentation names the code whose few blocks keep slabs that are nearly empty, with
/// how much they keep, and not the code that fills its slabs.
/// </summary>
public sealed unsafe class FragmentationTests : LeakCheckedTests
{
    private const nuint SparseBytes = 208, DenseBytes = 240;

    private const int SparseBlocks = 160_000, OnePinned = 16, DenseBlocks = 20_000;

    [Fact]
    public void The_stack_whose_blocks_pin_slabs_is_first_with_what_it_keeps()
    {
        NativeAllocator.Trim();
        List<nint> pinned = [], filled = [], dense = [];
        AllocationProfiler.Start(sampleEveryBytes: 2048);
        try
        {
            for (int i = 0; i < SparseBlocks; i++)
                (i % OnePinned == 0 ? pinned : filled).Add((nint)(i % OnePinned == 0 ? Pin() : Fill()));
            for (int i = 0; i < DenseBlocks; i++) dense.Add((nint)Dense());
        }
        finally
        {
            AllocationProfiler.Stop();
        }
        FreeAll(filled);
        NativeAllocator.Trim();
        List<Fragmentation.Row> rows = Fragmentation.Read(out int samples);
        using StringWriter text = new();
        AllocationProfiler.WriteFragmentation(text, rows: 2);
        double truth = TruthOf(pinned);
        FreeAll(pinned);
        FreeAll(dense);

        Assert.True(samples > 100, $"{samples} samples");
        Assert.EndsWith("FragmentationTests.Pin", rows[0].Frames[0].Method, StringComparison.Ordinal);
        // The test method is compiled anew while it runs, so it may have stacks with other callers, too.
        long heldBack = rows.Where(row => row.Frames[0].Method.EndsWith("FragmentationTests.Pin",
            StringComparison.Ordinal)).Sum(row => row.HeldBackBytes);
        // A thousand samples of the pins: the estimate is known to 4 %.
        Assert.InRange(heldBack, truth * 0.8, truth * 1.2);
        // Of the filling a tenth was sampled, and lay elsewhere.
        long kept = filled.Count * (long)SparseBytes;
        Assert.InRange(heldBack, kept * 7 / 10, kept * 11 / 10);
        Fragmentation.Row[] full =
            [.. rows.Where(row => row.Frames[0].Method.EndsWith(".Dense", StringComparison.Ordinal))];
        Assert.NotEmpty(full);
        Assert.InRange(full.Sum(row => row.HeldBackBytes), 0, full.Sum(row => row.LiveBytes) / 5);
        Assert.Contains("FragmentationTests.Pin", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void It_needs_a_writer_and_a_number_of_rows()
    {
        Assert.Throws<ArgumentNullException>(() => AllocationProfiler.WriteFragmentation(null!, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => AllocationProfiler.WriteFragmentation(TextWriter.Null, -1));
    }

    // What the slabs of all pins say, but for those that are samples and lie elsewhere: as many hold back as much.
    private static double TruthOf(List<nint> pinned)
    {
        double[] known = [.. pinned.Select(block => (uint)LinearRegion.PageIndexOf((void*)block))
            .Select(page => Fragmentation.HeldBackOn(page, (uint)SparseBytes)).Where(bytes => bytes != 0)];
        return known.Sum() * pinned.Count / known.Length;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Pin() => Write(NativeAllocator.Alloc(SparseBytes));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Fill() => Write(NativeAllocator.Alloc(SparseBytes));

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* Dense() => Write(NativeAllocator.Alloc(DenseBytes));

    // Something to do after the call: a method that ends with it may be left for it, and is missing in the stack.
    private static void* Write(void* block)
    {
        *(byte*)block = 1;
        return block;
    }

    private static void FreeAll(List<nint> blocks)
    {
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
    }
}
