using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Measuring;

/// <summary>This program, started once more to do one part of the work in a process of its own.</summary>
internal static class ThisProgram
{
    private static string Name => typeof(ThisProgram).Assembly.GetName().Name!;

    /// <param name="verb">The command; its arguments are for the caller to add.</param>
    public static ProcessStartInfo CreateChild(string verb)
    {
        string host =
            Environment.ProcessPath ?? throw new InvalidOperationException("the program's own path is unknown");
        ProcessStartInfo start = new(host);

        // Started as "dotnet NativeAlloc.Benchmarks.dll" the process is the host, and needs to be told what to run.
        if (Path.GetFileNameWithoutExtension(host).Equals("dotnet", StringComparison.OrdinalIgnoreCase))
            start.ArgumentList.Add(typeof(ThisProgram).Assembly.Location);
        start.ArgumentList.Add(verb);
        return start;
    }

    /// <summary>The same of another build.</summary>
    public static ProcessStartInfo CreateChild(string verb, string folder)
    {
        string executable = Path.Combine(folder, Name);
        ProcessStartInfo start = File.Exists(executable)
            ? new(Path.GetFullPath(executable))
            : new("dotnet", [Path.GetFullPath(AssemblyIn(folder))]);
        start.ArgumentList.Add(verb);
        return start;
    }

    /// <summary>Whether a folder has a build of this program.</summary>
    public static bool IsIn(string folder) => File.Exists(AssemblyIn(folder));

    private static string AssemblyIn(string folder) => Path.Combine(folder, Name + ".dll");
}
