namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>Where <c>get-allocators</c> puts libraries, and where arms look for them first.</summary>
internal static class DownloadedLibraries
{
    /// <summary>A folder below the user's cache, as the XDG specification has it.</summary>
    public static string Folder { get; } = Path.Combine(CacheHome(), "nativealloc-benchmarks", "allocators");

    private static string CacheHome() =>
        Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } folder && Path.IsPathRooted(folder)
            ? folder
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
}
