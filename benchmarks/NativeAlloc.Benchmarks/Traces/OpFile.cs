using System.Runtime.InteropServices;
using NativeAlloc.Benchmarks.Measuring;

namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// A decoded trace and its warm-up in a file that children map and replay as it is: the runner decodes once, and the C
/// replayer needs no decoder. A header of eight 64-bit words, then the warm-up's operations, then the trace's.
/// </summary>
internal sealed unsafe class OpFile
{
    private readonly Header* _header;

    private OpFile(byte* start) => _header = (Header*)start;

    public long WarmUpOpCount => _header->WarmUpOpCount;

    public ReplayOp* WarmUpOps => (ReplayOp*)(_header + 1);

    public long OpCount => _header->OpCount;

    public ReplayOp* Ops => WarmUpOps + WarmUpOpCount;

    public long SlotCount => _header->SlotCount;

    public long Operations => _header->Operations;

    public long PeakLiveBytes => _header->PeakLiveBytes;

    public static void Write(string path, DecodedTrace trace)
    {
        ReplayOp[] warmUp = WarmUpTrace.Create();
        Header header = new()
        {
            Signature = Header.ExpectedSignature,
            WarmUpOpCount = warmUp.Length,
            OpCount = trace.Ops.Length,
            SlotCount = Math.Max(trace.SlotCount, WarmUpTrace.SlotCount),
            Operations = trace.Operations,
            PeakLiveBytes = trace.PeakLiveBytes,
        };

        using FileStream file = File.Create(path);
        file.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<Header>(in header)));
        file.Write(MemoryMarshal.AsBytes(warmUp.AsSpan()));
        file.Write(MemoryMarshal.AsBytes(trace.Ops.AsSpan()));
    }

    /// <exception cref="InvalidDataException">The file was not written by <see cref="Write"/>.</exception>
    public static OpFile Map(string path)
    {
        byte* start = MappedPages.OfFile(path, out long length);
        Header* header = (Header*)start;
        if (length < sizeof(Header) ||
            header->Signature != Header.ExpectedSignature ||
            length != sizeof(Header) + ((header->WarmUpOpCount + header->OpCount) * sizeof(ReplayOp)))
        {
            throw new InvalidDataException($"{path} holds no operations");
        }

        return new OpFile(start);
    }

    /// <summary>The layout is shared with <c>replay.c</c>.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 64)]
    private struct Header
    {
        /// <summary>"NAOPS001" as a little-endian number.</summary>
        public const ulong ExpectedSignature = 0x3130_3053_504F_414E;

        public ulong Signature;
        public long WarmUpOpCount;
        public long OpCount;
        public long SlotCount;
        public long Operations;
        public long PeakLiveBytes;
    }
}
