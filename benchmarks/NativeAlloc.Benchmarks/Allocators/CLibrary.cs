using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// A C allocator's shared library: where it comes from, what its functions are called, and how it is told to give
/// memory back. A new C allocator is an entry in <see cref="All"/> and an empty struct in <c>CLibraries.cs</c>.
/// </summary>
/// <param name="Name">The allocator's name, as in the names of its arms.</param>
/// <param name="FileName">The library's file, as the loader looks for it.</param>
/// <param name="Package">The Debian package that has it.</param>
/// <param name="Prefix">What its function names have in front of malloc, calloc and so on.</param>
/// <param name="AlignedName">Its function that takes an alignment and a size.</param>
/// <param name="Purge">Makes it give back what it keeps.</param>
internal sealed record CLibrary(
    string Name,
    string FileName,
    string Package,
    string Prefix,
    string AlignedName,
    Action<CLibrary.Exports> Purge)
{
    public static readonly CLibrary Mimalloc =
        new("mimalloc", "libmimalloc.so.2", "libmimalloc2.0", "mi_", "mi_memalign", CPurge.Mimalloc);

    public static readonly CLibrary Mimalloc3 =
        new("mimalloc3", "libmimalloc.so.3", "libmimalloc3", "mi_", "mi_memalign", CPurge.Mimalloc)
        {
            Suite = "unstable",
        };

    public static readonly CLibrary Jemalloc =
        new("jemalloc", "libjemalloc.so.2", "libjemalloc2", "", "aligned_alloc", CPurge.Jemalloc);

    public static readonly CLibrary Tcmalloc =
        new("tcmalloc", "libtcmalloc_minimal.so.4", "libtcmalloc-minimal4", "tc_", "tc_memalign", CPurge.Tcmalloc);

    private readonly Lazy<string?> _missing = new(() => Probe(FileName) ? null : Remedy(FileName, Package));

    public static IReadOnlyList<CLibrary> All { get; } = [Mimalloc, Mimalloc3, Jemalloc, Tcmalloc];

    /// <summary>The Debian suite that has the package; null if the suite that this machine uses has it.</summary>
    public string? Suite { get; init; }

    /// <summary>What the loader is given: the file that was downloaded, or else the name to look for.</summary>
    public string LoadName => PathOf(FileName);

    /// <summary>
    /// What a process that loads one of the libraries needs in its environment from the start. jemalloc as Debian
    /// builds it keeps its state in static thread-local storage, and glibc leaves too little room for that in a
    /// library which is loaded late. For the others it changes nothing, and it is set for all arms alike.
    /// </summary>
    public static KeyValuePair<string, string> RequiredEnvironment { get; } =
        new("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384");

    /// <summary>Null if the library can be loaded, else the reason and the remedy.</summary>
    public string? Missing => _missing.Value;

    /// <summary>Loads the library and hands out its functions.</summary>
    public Exports Load() => new(NativeLibrary.Load(LoadName));

    private static string PathOf(string fileName) =>
        Path.Combine(DownloadedLibraries.Folder, fileName) is var path && File.Exists(path) ? path : fileName;

    private static string Remedy(string fileName, string package) =>
        $"{fileName} was not found; the command 'get-allocators' downloads it (Debian's package {package})";

    private static bool Probe(string fileName)
    {
        try
        {
            NativeLibrary.Load(PathOf(fileName));
            return true;
        }
        catch (DllNotFoundException e)
        {
            // It is there, only this process started without the environment that its children get.
            return e.Message.Contains("static TLS", StringComparison.Ordinal);
        }
    }

    /// <summary>
    /// The functions of a loaded library, looked up in that library alone and not in the whole process.
    /// </summary>
    internal readonly struct Exports(nint handle)
    {
        public nint this[string name] => NativeLibrary.GetExport(handle, name);
    }
}
