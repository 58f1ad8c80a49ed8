namespace NativeAlloc.Tests.Infrastructure;

/// <summary>A directory of its own outside the repository, deleted at the end.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    internal string Path { get; } = Directory.CreateTempSubdirectory("nativealloc-test-").FullName;

    /// <summary>The full path of something inside.</summary>
    internal string Combine(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <summary>Makes a directory inside and returns its path.</summary>
    internal string MakeDirectory(string name) => Directory.CreateDirectory(Combine(name)).FullName;

    /// <summary>Writes a file inside, in folders that are made for it.</summary>
    internal void Write(string file, string text)
    {
        string path = Combine(file);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(Path, recursive: true);
        }
        catch (IOException)
        {
            // A process that is still about to end may hold a file; it is in the system's temporary directory all the
            // same.
        }
    }
}
