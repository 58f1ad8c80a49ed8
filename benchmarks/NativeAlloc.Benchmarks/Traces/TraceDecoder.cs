using System.Buffers.Binary;
using System.Globalization;

namespace NativeAlloc.Benchmarks.Traces;

/// <summary>
/// Decodes the NATR format strictly, so that a replay never has to check anything.
/// <para>
/// Layout: <c>"NATR"</c>, a version byte (1), five little-endian 32-bit numbers (operations, slots, threads, peak live
/// KiB, reserved), then the operations. An operation is a kind byte followed by LEB128 numbers:
/// 0 malloc (slot, size), 1 free (slot), 2 calloc (slot, size), 3 realloc (slot, size), 4 aligned (slot, log2 of the
/// alignment, size), 5 switch to another thread (thread id). Slots are dense and reused; a free or realloc of an empty
/// slot stands for one of a null pointer.
/// </para>
/// </summary>
internal ref struct TraceDecoder
{
    private const int HeaderLength = 4 + 1 + (5 * 4);
    private const uint MaxSize = 1u << 31;
    private const int MaxAlignmentLog2 = 24;
    private const long Empty = -1;

    private readonly ReadOnlySpan<byte> _data;
    private int _position;

    private TraceDecoder(ReadOnlySpan<byte> data) => _data = data;

    /// <exception cref="InvalidDataException">The data is not a well-formed trace; the message tells the
    /// offset.</exception>
    public static DecodedTrace Decode(ReadOnlySpan<byte> data) => new TraceDecoder(data).Run();

    private DecodedTrace Run()
    {
        (int operations, int slotCount, int threads) = ReadHeader();

        // At most one block per slot is left behind, so this also has room for the frees that follow.
        List<ReplayOp> ops = new(operations);
        long[] liveSizes = new long[slotCount];
        bool[] aligned = new bool[slotCount];
        Array.Fill(liveSizes, Empty);
        long live = 0, peak = 0;

        for (int i = 0; i < operations; i++)
        {
            int start = _position;
            byte kind = ReadByte();
            if (kind == 5)
            {
                ulong thread = ReadNumber();
                if (thread >= (ulong)threads)
                    throw Corrupt(start, $"a switch to thread {thread}, where the header allows {threads}");
                continue;
            }

            if (kind > 5)
                throw Corrupt(start, $"unknown operation kind {kind}");

            int slot = ReadSlot(slotCount);
            long before = liveSizes[slot];
            if (kind == ReplayKind.Free)
            {
                ops.Add(ReplayOp.FreeOf(slot, aligned[slot]));
                live -= Math.Max(before, 0);
                liveSizes[slot] = Empty;
                aligned[slot] = false;
                continue;
            }

            if (before != Empty && kind != ReplayKind.Realloc)
                throw Corrupt(start, $"an allocation into slot {slot}, which is still in use");

            uint alignment = kind == ReplayKind.Aligned ? ReadAlignment() : 0;
            uint size = ReadSize();
            ops.Add(new ReplayOp { Kind = kind, Slot = (uint)slot, Size = size, Alignment = alignment });
            aligned[slot] = kind == ReplayKind.Aligned;
            liveSizes[slot] = size;
            live += size - Math.Max(before, 0);
            peak = Math.Max(peak, live);
        }

        if (_position != _data.Length)
            throw Corrupt(_position, "data after the last operation");

        long recorded = ops.Count;
        AddFrees(ops, liveSizes, aligned);
        return new DecodedTrace([.. ops], slotCount, recorded, peak);
    }

    // Of what the recorded program left behind.
    private static void AddFrees(List<ReplayOp> ops, long[] liveSizes, bool[] aligned)
    {
        for (int slot = 0; slot < liveSizes.Length; slot++)
        {
            if (liveSizes[slot] != Empty)
                ops.Add(ReplayOp.FreeOf(slot, aligned[slot]));
        }
    }

    private (int Operations, int Slots, int Threads) ReadHeader()
    {
        if (_data.Length < HeaderLength)
            throw Corrupt(_data.Length, $"the header is cut short ({HeaderLength} bytes are needed)");
        if (!_data.StartsWith("NATR"u8))
            throw Corrupt(0, "no NATR signature");
        if (_data[4] != 1)
            throw Corrupt(4, $"version {_data[4]}, where only 1 is known");

        uint operations = BinaryPrimitives.ReadUInt32LittleEndian(_data[5..]);
        uint slots = BinaryPrimitives.ReadUInt32LittleEndian(_data[9..]);
        uint threads = BinaryPrimitives.ReadUInt32LittleEndian(_data[13..]);
        _position = HeaderLength;

        // The shortest operation takes two bytes and a slot is used by at least one operation: a damaged header is
        // found here, before anything is allocated by its word.
        if (operations == 0)
            throw Corrupt(5, "no operations");
        if (operations > (uint)(_data.Length - HeaderLength) / 2)
            throw Corrupt(_data.Length, $"cut short: {operations} operations do not fit into {_data.Length} bytes");
        if (slots > operations)
            throw Corrupt(9, $"{slots} slots for {operations} operations");
        return ((int)operations, (int)slots, (int)Math.Clamp(threads, 1, int.MaxValue));
    }

    private int ReadSlot(int slotCount)
    {
        int start = _position;
        ulong slot = ReadNumber();
        return slot < (ulong)slotCount ? (int)slot : throw Corrupt(start, $"slot {slot} of {slotCount}");
    }

    private uint ReadSize()
    {
        int start = _position;
        ulong size = ReadNumber();
        return size < MaxSize ? (uint)size : throw Corrupt(start, $"an absurd size of {size} bytes");
    }

    private uint ReadAlignment()
    {
        int start = _position;
        ulong log2 = ReadNumber();
        return log2 <= MaxAlignmentLog2
            ? 1u << (int)log2
            : throw Corrupt(start, $"an absurd alignment of 2^{log2} bytes");
    }

    private byte ReadByte()
    {
        if (_position >= _data.Length)
            throw Corrupt(_position, "cut short inside the operations");
        return _data[_position++];
    }

    private ulong ReadNumber()
    {
        int start = _position;
        ulong value = 0;
        for (int shift = 0; shift < 63; shift += 7)
        {
            byte b = ReadByte();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }

        throw Corrupt(start, "a number of more than 63 bits");
    }

    private static InvalidDataException Corrupt(int offset, string what) =>
        new(string.Create(CultureInfo.InvariantCulture, $"at offset {offset}: {what}"));
}
