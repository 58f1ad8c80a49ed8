using System.ComponentModel;
using BenchmarkDotNet.Engines;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// Makes BenchmarkDotNet's own engine, which counts operations when it has timed them. The code that BenchmarkDotNet
/// writes for a benchmark names this type.
/// </summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class NativeAllocEngineFactory : IEngineFactory
{
    /// <inheritdoc/>
    public IEngine CreateReadyToRun(EngineParameters engineParameters) =>
        new CountingEngine(new EngineFactory().CreateReadyToRun(engineParameters), engineParameters);

    /// <summary>The name that a job's description has for it.</summary>
    /// <returns>The library's name.</returns>
    public override string ToString() => nameof(NativeAlloc);
}
