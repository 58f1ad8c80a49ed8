namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Finds files of the repository that a test needs as they are in the tree.</summary>
internal static class RepositoryTree
{
    private const string SolutionFile = "NativeAlloc.sln";

    /// <summary>The directory of the solution, above the one that the tests were built into.</summary>
    internal static string Root { get; } = FindRoot();

    /// <summary>The full path of a file of the tree.</summary>
    internal static string PathOf(params string[] parts) => Path.Combine([Root, .. parts]);

    private static string FindRoot()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory != null; directory = directory.Parent)
            if (File.Exists(Path.Combine(directory.FullName, SolutionFile))) return directory.FullName;
        throw new InvalidOperationException(
            $"No directory above {AppContext.BaseDirectory} holds {SolutionFile}: the tests must run inside the " +
            "repository.");
    }
}
