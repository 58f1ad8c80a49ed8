using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains;
using BenchmarkDotNet.Toolchains.Results;

namespace NativeAlloc.BenchmarkHost;

/// <summary>
/// Runs benchmarks in processes of this program, by BenchmarkDotNet's own executor, and builds nothing.
/// </summary>
public sealed class PrebuiltToolchain() : Toolchain("prebuilt", new Prebuilt(), new Prebuilt(), new Executor())
{
    private sealed class Prebuilt : IGenerator, IBuilder
    {
        public GenerateResult GenerateProject(BuildPartition buildPartition, ILogger logger,
            string rootArtifactsFolderPath)
        {
            string folder = AppContext.BaseDirectory, name = typeof(PrebuiltToolchain).Assembly.GetName().Name!,
                file = Path.Combine(folder, OperatingSystem.IsWindows() ? name + ".exe" : name);
            ArtifactsPaths paths = new(
                rootArtifactsFolderPath, folder, folder, folder, "", "", "", "", "", file, name, "");
            return GenerateResult.Success(paths, []);
        }

        public BuildResult Build(GenerateResult generateResult, BuildPartition buildPartition, ILogger logger) =>
            BuildResult.Success(generateResult);
    }
}
