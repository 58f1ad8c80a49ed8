using System.CommandLine;
using BenchmarkDotNet.Running;
using NativeAlloc.Benchmarks.Micro;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>Hands over to BenchmarkDotNet.</summary>
internal static class MicroCommand
{
    public static Command Create()
    {
        Command command = new("micro", "Microbenchmarks; arguments go to BenchmarkDotNet (try: micro --list flat).")
        {
            TreatUnmatchedTokensAsErrors = false,
        };
        command.SetAction(result => Run([.. result.UnmatchedTokens]));
        return command;
    }

    private static int Run(string[] arguments)
    {
        MicroConfig config = new() { ArtifactsPath = Path.GetFullPath("BenchmarkDotNet.Artifacts") };

        // BenchmarkDotNet builds projects of its own that refer to this one, and looks for it around the working
        // folder.
        Directory.SetCurrentDirectory(AppContext.BaseDirectory);
        BenchmarkSwitcher.FromAssembly(typeof(MicroCommand).Assembly).Run(arguments, config);
        return 0;
    }
}
