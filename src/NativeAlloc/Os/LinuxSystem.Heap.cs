using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <content>The heap of glibc. Another C library has none of these functions.</content>
internal sealed unsafe partial class LinuxSystem
{
    private const string Glibc = "libc.so.6";

    /// <summary>
    /// The functions of glibc 2.33 and later; null before they were found, and with another C library. Any thread, by
    /// Volatile.
    /// </summary>
    private static GlibcHeap? s_heap;

    internal override bool HasNativeHeap => Heap() != null;

    internal override bool TryReadNativeHeap(out NativeHeapInfo info)
    {
        info = default;
        if (Heap() is not { } heap) return false;
        info = heap.Read();
        return true;
    }

    internal override bool TryTrimNativeHeap() => Heap() is { } heap && heap.Trim();

    private static GlibcHeap? Heap()
    {
        GlibcHeap? heap = Volatile.Read(ref s_heap);
        if (heap == null) Volatile.Write(ref s_heap, heap = GlibcHeap.FindOrNull());
        return heap;
    }

    /// <summary>The result of <c>mallinfo2</c>, as <c>malloc.h</c> has it.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MallocInfo
    {
        public nuint Arena, FreeChunks, FastChunks, MappedBlocks, MappedBytes, Unused, FastBytes, UsedBytes, FreeBytes,
            TopBytes;
    }

    private sealed class GlibcHeap
    {
        private readonly delegate* unmanaged[Cdecl]<MallocInfo> _info;
        private readonly delegate* unmanaged[Cdecl]<nuint, int> _trim;
        private readonly delegate* unmanaged[Cdecl]<int, nint, int> _write;
        private readonly delegate* unmanaged[Cdecl]<byte**, nuint*, nint> _openMemory;
        private readonly delegate* unmanaged[Cdecl]<nint, int> _close;

        private GlibcHeap(nint library)
        {
            _info = (delegate* unmanaged[Cdecl]<MallocInfo>)Find(library, "mallinfo2");
            _trim = (delegate* unmanaged[Cdecl]<nuint, int>)Find(library, "malloc_trim");
            _write = (delegate* unmanaged[Cdecl]<int, nint, int>)Find(library, "malloc_info");
            _openMemory = (delegate* unmanaged[Cdecl]<byte**, nuint*, nint>)Find(library, "open_memstream");
            _close = (delegate* unmanaged[Cdecl]<nint, int>)Find(library, "fclose");
        }

        internal static GlibcHeap? FindOrNull()
        {
            if (!NativeLibrary.TryLoad(Glibc, out nint library)) return null;
            GlibcHeap heap = new(library);
            return heap._info == null || heap._trim == null ? null : heap;
        }

        internal NativeHeapInfo Read()
        {
            MallocInfo figures = _info();
            return new NativeHeapInfo(figures.Arena, figures.MappedBytes, (long)figures.MappedBlocks,
                figures.FreeBytes, CountArenas());
        }

        internal bool Trim() => _trim(0) != 0;

        // glibc tells their number only in the report that it writes; 0 where it writes none.
        private int CountArenas()
        {
            if (_write == null || _openMemory == null || _close == null) return 0;
            byte* text = null;
            nuint bytes = 0;
            nint file = _openMemory(&text, &bytes);
            if (file == 0) return 0;
            bool isWritten = _write(0, file) == 0;
            _close(file);
            int count = isWritten ? new ReadOnlySpan<byte>(text, (int)bytes).Count("<heap nr="u8) : 0;
            // Not glibc's own free: where the program has another malloc (LD_PRELOAD), the text is from there.
            NativeMemory.Free(text);
            return count;
        }

        private static nint Find(nint library, string name) =>
            NativeLibrary.TryGetExport(library, name, out nint address) ? address : 0;
    }
}
