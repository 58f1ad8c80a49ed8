using System.Runtime.CompilerServices;
using NativeAlloc.Diagnostics;
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

    private const int SparseBlocks = 40_000, OnePinned = 16, DenseBlocks = 20_000;

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
        FreeAll(pinned);
        FreeAll(dense);

        Assert.True(samples > 100, $"{samples} samples");
        Assert.EndsWith("FragmentationTests.Pin", rows[0].Frames[0].Method, StringComparison.Ordinal);
        // Of the filling a tenth was sampled, and lay elsewhere.
        long kept = filled.Count * (long)SparseBytes;
        Assert.InRange(rows[0].HeldBackBytes, kept * 7 / 10, kept * 11 / 10);
        Fragmentation.Row full = rows.Single(row => row.Frames[0].Method.EndsWith(".Dense", StringComparison.Ordinal));
        Assert.InRange(full.HeldBackBytes, 0, full.LiveBytes / 5);
        Assert.Contains("FragmentationTests.Pin", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void It_needs_a_writer_and_a_number_of_rows()
    {
        Assert.Throws<ArgumentNullException>(() => AllocationProfiler.WriteFragmentation(null!, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => AllocationProfiler.WriteFragmentation(TextWriter.Null, -1));
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
