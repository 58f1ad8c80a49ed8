namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>An allocation or a free that a workload asked for.</summary>
/// <param name="Block">The block's number: those of a recording are numbered from 0.</param>
/// <param name="Bytes">What was asked for; 0 for a free.</param>
internal readonly record struct RecordedCall(int Block, uint Bytes)
{
    internal bool IsFree => Bytes == 0;
}
