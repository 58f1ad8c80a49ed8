namespace NativeAlloc.Tests.Infrastructure;

/// <summary>A global tool of .NET, where it is installed.</summary>
internal static class DotnetTool
{
    /// <summary>Its file; null where there is none.</summary>
    internal static string? Find(string name)
    {
        string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        string[] directories = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator),
            Path.Combine(home, ".dotnet", "tools")];
        return directories.Where(directory => directory.Length != 0)
            .Select(directory => Path.Combine(directory, name)).FirstOrDefault(File.Exists);
    }

    internal static ChildProcess Run(string path, params string[] arguments) => ChildProcess.RunProgram(path,
        AppContext.BaseDirectory, [("DOTNET_ROLL_FORWARD", "Major")], arguments);
}
