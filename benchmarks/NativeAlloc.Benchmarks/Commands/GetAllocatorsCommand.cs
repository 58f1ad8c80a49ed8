using System.CommandLine;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Downloading;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Downloads the C allocators that are missing, without installing anything: each library is taken out of its Debian
/// package and put into a folder of the user's cache, where the arms look first.
/// </summary>
internal static class GetAllocatorsCommand
{
    public static Command Create()
    {
        Command command = new("get-allocators", "Downloads the C allocators that are missing into the user's cache.");
        command.SetAction(_ => Run());
        return command;
    }

    private static int Run()
    {
        List<CLibrary> wanted = [];
        foreach (CLibrary library in CLibrary.All)
        {
            if (library.Missing is null)
                Console.WriteLine($"{library.Name}: is there ({library.LoadName})");
            else
                wanted.Add(library);
        }

        if (wanted.Count == 0)
            return 0;
        if (DebianPackages.Missing is { } reason)
        {
            Console.Error.WriteLine($"error: {reason}");
            return 1;
        }

        int failed = 0;
        foreach (IGrouping<string?, CLibrary> suite in wanted.GroupBy(library => library.Suite))
            failed += Get(suite.Key, [.. suite]);
        return failed == 0 ? 0 : 1;
    }

    /// <summary>Gets libraries of one suite; returns how many it could not get.</summary>
    private static int Get(string? suite, CLibrary[] libraries)
    {
        using DebianPackages packages = new(suite);
        Console.WriteLine($"reading the list of packages of {packages.Source}");
        if (packages.Update() is { } problem)
        {
            foreach (CLibrary library in libraries)
                Console.WriteLine($"{library.Name}: FAILED, {problem}");
            return libraries.Length;
        }

        int failed = 0;
        foreach (CLibrary library in libraries)
        {
            string? failure = packages.Extract(library.Package, library.FileName, DownloadedLibraries.Folder);
            string target = Path.Combine(DownloadedLibraries.Folder, library.FileName);
            Console.WriteLine(failure is null
                ? $"{library.Name}: {library.FileName} of {library.Package} is now {target}"
                : $"{library.Name}: FAILED, {failure}");
            failed += failure is null ? 0 : 1;
        }

        return failed;
    }
}
