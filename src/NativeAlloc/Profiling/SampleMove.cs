using NativeAlloc.Slabs;

namespace NativeAlloc.Profiling;

/// <summary>
/// A block that may change its size and its address. If it is a sample, that is out of the table meanwhile: as soon as
/// the block has left its address, another thread may have a sample there. Where no member ends the move, as the block
/// was freed meanwhile, the sample has ended.
/// </summary>
internal readonly unsafe struct SampleMove
{
    private readonly SampleRecord _sample; // its address is 0 where the block is no sample

    private SampleMove(in SampleRecord sample) => _sample = sample;

    /// <summary>Begins to change a block. The calling thread must own it.</summary>
    internal static SampleMove Begin(void* block)
    {
        AllocationSampler.TryTakeOut(block, out SampleRecord sample);
        return new SampleMove(sample);
    }

    /// <summary>The block could not be changed, and stands as it was.</summary>
    internal void Cancel()
    {
        if (_sample.Address != 0) AllocationSampler.PutBack(_sample);
    }

    /// <summary>
    /// The block has been changed, and goes on as the sample that it was: with the stack and the time of its
    /// allocation. It stands for as many blocks as before, each of the new size.
    /// </summary>
    /// <param name="after">The block as it is, which is no object.</param>
    /// <param name="bytes">The size asked for.</param>
    internal void End(void* after, nuint bytes)
    {
        if (_sample.Address == 0) return;
        SampleRecord sample = _sample;
        sample.Address = (nuint)after;
        sample.Weight = sample.Weight.OfSize(bytes);
        sample.Witness = 0; // if it was an object, it is none any more
        AllocationSampler.PutBack(sample);
    }

    /// <summary>
    /// The same for a block that the allocator has made larger or smaller: while the profiler is on, one that has grown
    /// may be a sample as if it were freed and allocated, and is else none.
    /// </summary>
    /// <param name="after">The block as it is, which is no object.</param>
    /// <param name="bytes">The size asked for.</param>
    /// <param name="hasGrown">It was smaller.</param>
    internal void EndResized(void* after, nuint bytes, bool hasGrown)
    {
        if (hasGrown && SampleGap.IsOn) AllocationSampler.NoteLarge(after, bytes);
        else End(after, bytes);
    }
}
