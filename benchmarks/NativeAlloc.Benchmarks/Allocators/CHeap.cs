using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>The heap of the C library, which the runtime allocates from as well.</summary>
internal static unsafe class CHeap
{
    private static readonly delegate* unmanaged<nuint, int> s_trim = Find();

    /// <summary>Has it give whole free pages back. Only glibc can be told.</summary>
    public static void Trim()
    {
        if (s_trim != null)
            _ = s_trim(0);
    }

    private static delegate* unmanaged<nuint, int> Find() =>
        NativeLibrary.TryLoad("libc.so.6", out nint library)
        && NativeLibrary.TryGetExport(library, "malloc_trim", out nint function)
            ? (delegate* unmanaged<nuint, int>)function
            : null;
}
