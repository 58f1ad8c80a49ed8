using System.Reflection;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>A tool of .NET, from the package that the restore of these tests brings.</summary>
internal static class DotnetTool
{
    internal static ChildProcess Run(string name, params string[] arguments)
    {
        string file = Path.Combine(ValueOf("NuGetPackageRoot"), name, ValueOf("DotnetToolVersion"), "tools", "net8.0",
            "any", $"{name}.dll");
        return ChildProcess.RunDotnet(
            AppContext.BaseDirectory, [("DOTNET_ROLL_FORWARD", "Major")], [file, .. arguments]);
    }

    // What the project file wrote into the assembly.
    private static string ValueOf(string key) => typeof(DotnetTool).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
