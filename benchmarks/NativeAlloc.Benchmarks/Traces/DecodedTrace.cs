namespace NativeAlloc.Benchmarks.Traces;

/// <summary>A trace ready to be replayed.</summary>
/// <param name="Ops">
/// The operations without thread switches, followed by a free for every block that the recorded program left behind.
/// </param>
/// <param name="SlotCount">How many slots the operations refer to.</param>
/// <param name="Operations">The recorded operations without thread switches: what ns/op divides by.</param>
/// <param name="PeakLiveBytes">The highest sum of requested sizes alive at one time.</param>
internal sealed record DecodedTrace(ReplayOp[] Ops, int SlotCount, long Operations, long PeakLiveBytes);
