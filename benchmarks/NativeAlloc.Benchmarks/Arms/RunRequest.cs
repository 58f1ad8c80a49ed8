using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>What a child process is to measure.</summary>
/// <param name="Workload">The workload's name.</param>
/// <param name="StagedFile">The file it was staged into, if any.</param>
/// <param name="Threads">On how many threads it runs.</param>
/// <param name="Policy">How many passes it makes.</param>
/// <param name="Replayer">The compiled <c>replay.c</c>, where arms need it.</param>
/// <param name="Latency">Whether calls are to be timed one by one.</param>
internal sealed record RunRequest(
    string Workload, string? StagedFile, int Threads, PassPolicy Policy, string? Replayer, bool Latency);
