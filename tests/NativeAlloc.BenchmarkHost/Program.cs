using System.Reflection;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Engines;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;

namespace NativeAlloc.BenchmarkHost;

/// <summary>
/// Does for one benchmark what the program does that BenchmarkDotNet would write and build: it runs the benchmark, and
/// talks to the process that started it through its pipes. Started by hand it hands over to BenchmarkDotNet, which
/// writes and builds that program (<c>--job dry --filter *ThreeBlocks</c>).
/// </summary>
public static class Program
{
    // The runner of the in-process toolchain does in any process what the written program does.
    private static readonly MethodInfo s_run = typeof(InProcessNoEmitToolchain).Assembly
        .GetType("BenchmarkDotNet.Toolchains.InProcess.NoEmit.InProcessNoEmitRunner", throwOnError: true)!
        .GetMethod("Run", BindingFlags.Public | BindingFlags.Static)!;

    /// <summary>How the benchmarks run: as shortly as can be.</summary>
    public static Job Job { get; } = Job.Dry.WithInvocationCount(64).WithUnrollFactor(16);

    private static int Main(string[] arguments)
    {
        if (!AnonymousPipesHost.TryGetFileHandles(arguments, out string? write, out string? read))
        {
            BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(arguments);
            return 0;
        }
        string name = arguments[Array.IndexOf(arguments, "--benchmarkName") + 1];
        ManualConfig config = ManualConfig.CreateEmpty().AddJob(Job);
        BenchmarkCase benchmark = new[] { typeof(SampleBenchmarks), typeof(SetupBenchmarks) }
            .SelectMany(type => BenchmarkConverter.TypeToBenchmarks(type, config).BenchmarksCases)
            .Single(benchmark => FullNameProvider.GetBenchmarkName(benchmark) == name);
        using AnonymousPipesHost host = new(write!, read!);
        return (int)s_run.Invoke(null, [host, benchmark])!;
    }
}
