namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// Names a C allocator by a type, so that <see cref="CAllocator{TLibrary}"/> is compiled anew for each of them.
/// </summary>
internal interface ICLibrary
{
    static abstract CLibrary Library { get; }
}

internal readonly struct MimallocLibrary : ICLibrary
{
    public static CLibrary Library => CLibrary.Mimalloc;
}

internal readonly struct Mimalloc3Library : ICLibrary
{
    public static CLibrary Library => CLibrary.Mimalloc3;
}

internal readonly struct JemallocLibrary : ICLibrary
{
    public static CLibrary Library => CLibrary.Jemalloc;
}

internal readonly struct TcmallocLibrary : ICLibrary
{
    public static CLibrary Library => CLibrary.Tcmalloc;
}
