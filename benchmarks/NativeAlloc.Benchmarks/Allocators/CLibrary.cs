using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>A C allocator's shared library: whether it can be loaded, and its functions.</summary>
internal sealed class CLibrary(string fileName, string package)
{
    public static readonly CLibrary Mimalloc = new("libmimalloc.so.2", "libmimalloc2.0");
    public static readonly CLibrary Jemalloc = new("libjemalloc.so.2", "libjemalloc2");
    public static readonly CLibrary Tcmalloc = new("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4");

    private string? _missing;
    private bool _probed;

    public string FileName => fileName;

    /// <summary>
    /// What a process that loads one of the libraries needs in its environment from the start. jemalloc as Debian
    /// builds it keeps its state in static thread-local storage, and glibc leaves too little room for that in a
    /// library which is loaded late. For the others it changes nothing, and it is set for all arms alike.
    /// </summary>
    public static KeyValuePair<string, string> RequiredEnvironment { get; } =
        new("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=16384");

    /// <summary>Null if the library is installed, else the reason and the remedy.</summary>
    public string? Missing
    {
        get
        {
            if (!_probed)
            {
                _missing = Probe() ? null : $"{fileName} was not found; get it with: apt-get install {package}";
                _probed = true;
            }

            return _missing;
        }
    }

    /// <summary>Loads the library and hands out its functions.</summary>
    public Exports Load() => new(NativeLibrary.Load(fileName));

    private bool Probe()
    {
        try
        {
            NativeLibrary.Load(fileName);
            return true;
        }
        catch (DllNotFoundException e)
        {
            // It is there, only this process started without the environment that its children get.
            return e.Message.Contains("static TLS", StringComparison.Ordinal);
        }
    }

    /// <summary>The functions of a loaded library, looked up in that library alone and not in the whole process.</summary>
    internal readonly struct Exports(nint handle)
    {
        public nint this[string name] => NativeLibrary.GetExport(handle, name);
    }
}
