using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>Adds the diagnoser to a config, for all benchmarks that run with it.</summary>
public static class NativeAllocConfigExtensions
{
    /// <summary>Adds the columns of <see cref="NativeAllocDiagnoserAttribute"/>.</summary>
    /// <param name="config">The config.</param>
    /// <returns>The same config.</returns>
    /// <remarks>All jobs of the config get <see cref="NativeAllocEngineFactory"/> as their engine.</remarks>
    public static ManualConfig AddNativeAllocDiagnoser(this ManualConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return config.AddDiagnoser(NativeAllocDiagnoser.Instance).AddLogger(CountsLogger.Instance)
            .AddJob(new Job { Infrastructure = { EngineFactory = new NativeAllocEngineFactory() } }.AsMutator());
    }
}
