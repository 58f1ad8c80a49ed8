using System.IO.Compression;

namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// Where traces are kept and how they are read: plain (<c>.natr</c>) or packed with Brotli (<c>.natr.br</c>).
/// </summary>
internal static class TraceFile
{
    public const string PlainExtension = ".natr";
    public const string PackedExtension = ".natr.br";

    // Far above any trace that could be replayed in sensible time; it only stops a packed file from filling the memory.
    private const long MaxLength = 1L << 30;

    /// <summary>The traces that come with the program, by name.</summary>
    public static IEnumerable<string> Bundled()
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "traces");
        return Directory.Exists(folder)
            ? Directory.EnumerateFiles(folder, "*" + PackedExtension).Order(StringComparer.Ordinal)
            : [];
    }

    public static bool HasKnownExtension(string path) =>
        path.EndsWith(PlainExtension, StringComparison.OrdinalIgnoreCase) ||
        path.EndsWith(PackedExtension, StringComparison.OrdinalIgnoreCase);

    /// <summary>The file's name without its extensions: <c>sqlite</c> for <c>sqlite.natr.br</c>.</summary>
    public static string NameOf(string path)
    {
        string name = Path.GetFileName(path);
        int end = name.LastIndexOf(PlainExtension, StringComparison.OrdinalIgnoreCase);
        return end > 0 ? name[..end] : name;
    }

    /// <exception cref="InvalidDataException">The file is not a well-formed trace.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static DecodedTrace Load(string path)
    {
        using FileStream file = File.OpenRead(path);
        using Stream stream = path.EndsWith(PackedExtension, StringComparison.OrdinalIgnoreCase)
            ? new BrotliStream(file, CompressionMode.Decompress)
            : file;
        using MemoryStream unpacked = new();
        byte[] buffer = new byte[1 << 20];
        try
        {
            for (int read; (read = stream.Read(buffer)) > 0;)
            {
                unpacked.Write(buffer, 0, read);
                if (unpacked.Length > MaxLength)
                    throw new InvalidDataException($"more than {MaxLength >> 20} MiB when unpacked");
            }
        }
        catch (InvalidOperationException)
        {
            // What BrotliStream throws for data that is not Brotli.
            throw new InvalidDataException("not a Brotli stream");
        }

        return TraceDecoder.Decode(unpacked.GetBuffer().AsSpan(0, (int)unpacked.Length));
    }
}
