using System.Text;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>How the C allocators are told to give back the memory that they keep. Each has a way of its own.</summary>
internal static unsafe class CPurge
{
    public static void Mimalloc(CLibrary.Exports exports) =>
        ((delegate* unmanaged<byte, void>)exports["mi_collect"])(1);

    public static void Tcmalloc(CLibrary.Exports exports) =>
        ((delegate* unmanaged<void>)exports["MallocExtension_ReleaseFreeMemory"])();

    public static void Jemalloc(CLibrary.Exports exports)
    {
        Control(exports, "thread.tcache.flush\0"u8);
        Control(exports, "arena.4096.purge\0"u8); // 4096 stands for all arenas
    }

    private static void Control(CLibrary.Exports exports, ReadOnlySpan<byte> name)
    {
        var control = (delegate* unmanaged<byte*, void*, void*, void*, nuint, int>)exports["mallctl"];
        fixed (byte* bytes = name)
        {
            if (control(bytes, null, null, null, 0) is var error && error != 0)
            {
                string text = Encoding.ASCII.GetString(name[..^1]);
                throw new InvalidOperationException($"jemalloc returns error {error} for {text}");
            }
        }
    }
}
