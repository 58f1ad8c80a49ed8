using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Clients;

/// <summary>zlib, each stream of which may have an allocator of its own (<c>zalloc</c>, <c>zfree</c>).</summary>
internal static unsafe partial class ZlibClient
{
    private const int Finish = 4, StreamEnd = 1;

    internal static void Run(bool native, int scale)
    {
        if (!NativeLibrary.TryLoad("libz.so.1", out _)) Program.NotInstalled("zlib (zlib1g)");
        byte[] text = new byte[20_000];
        for (int i = 0; i < text.Length; i++) text[i] = (byte)("the quick brown fox "[i * i % 20] + i % 3);
        byte[] packed = new byte[text.Length + 1000], back = new byte[text.Length];
        for (int round = 0; round < 300 * scale; round++)
        {
            int length = Pack(native, text, packed);
            Unpack(native, packed.AsSpan(0, length), back);
            Program.Check(text.AsSpan().SequenceEqual(back), "zlib changed the bytes");
        }
        if (native) Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "zlib left blocks");
    }

    private static int Pack(bool native, Span<byte> from, Span<byte> to)
    {
        fixed (byte* source = from, target = to)
        {
            Stream stream = NewStream(native, source, from.Length, target, to.Length);
            Program.Check(DeflateInit(&stream, 6, "1.2.11\0"u8.ToArray(), sizeof(Stream)) == 0, "deflateInit");
            if (native)
                Program.Check(NativeAllocator.GetStatistics().LiveBlocks > 0, "zlib does not use the callbacks");
            Program.Check(Deflate(&stream, Finish) == StreamEnd, "deflate");
            int length = (int)stream.TotalOut;
            Program.Check(DeflateEnd(&stream) == 0, "deflateEnd");
            return length;
        }
    }

    private static void Unpack(bool native, Span<byte> from, Span<byte> to)
    {
        fixed (byte* source = from, target = to)
        {
            Stream stream = NewStream(native, source, from.Length, target, to.Length);
            Program.Check(InflateInit(&stream, "1.2.11\0"u8.ToArray(), sizeof(Stream)) == 0, "inflateInit");
            Program.Check(Inflate(&stream, Finish) == StreamEnd, "inflate");
            Program.Check(InflateEnd(&stream) == 0, "inflateEnd");
        }
    }

    private static Stream NewStream(bool native, byte* source, int bytes, byte* target, int room) => new()
    {
        NextIn = source,
        AvailableIn = (uint)bytes,
        NextOut = target,
        AvailableOut = (uint)room,
        Allocate = native ? &Allocate : null,
        Free = native ? &Free : null,
    };

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Allocate(void* opaque, uint items, uint size) =>
        NativeAllocator.TryAlloc((nuint)items * size, out void* block) ? block : null;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Free(void* opaque, void* block) => NativeAllocator.Free(block);

    [LibraryImport("libz.so.1", EntryPoint = "deflateInit_")]
    private static partial int DeflateInit(Stream* stream, int level, byte[] version, int size);

    [LibraryImport("libz.so.1", EntryPoint = "deflate")]
    private static partial int Deflate(Stream* stream, int flush);

    [LibraryImport("libz.so.1", EntryPoint = "deflateEnd")]
    private static partial int DeflateEnd(Stream* stream);

    [LibraryImport("libz.so.1", EntryPoint = "inflateInit_")]
    private static partial int InflateInit(Stream* stream, byte[] version, int size);

    [LibraryImport("libz.so.1", EntryPoint = "inflate")]
    private static partial int Inflate(Stream* stream, int flush);

    [LibraryImport("libz.so.1", EntryPoint = "inflateEnd")]
    private static partial int InflateEnd(Stream* stream);

    /// <summary>z_stream, as zlib.h has it on 64-bit Linux.</summary>
    private struct Stream
    {
        internal byte* NextIn;
        internal uint AvailableIn;
        internal nuint TotalIn;
        internal byte* NextOut;
        internal uint AvailableOut;
        internal nuint TotalOut;
        internal byte* Message;
        internal void* State;
        internal delegate* unmanaged[Cdecl]<void*, uint, uint, void*> Allocate;
        internal delegate* unmanaged[Cdecl]<void*, void*, void> Free;
        internal void* Opaque;
        internal int DataType;
        internal nuint Adler, Reserved;
    }
}
