using NativeAlloc.TestHost;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// A block of <see cref="Vmalloc"/> that knows what it must hold: marks at places spread over all of it, so that a
/// block of any size can be checked without touching much of it.
/// </summary>
internal sealed unsafe class SparseBlock
{
    private const nuint MarkBytes = 64, WholeBytes = 256 * Sizes.KiB;
    private const uint Places = 6;

    private readonly ulong _id;

    /// <summary>Makes the block's marks.</summary>
    internal SparseBlock(void* address, nuint bytes, ulong id)
    {
        Address = (byte*)address;
        Bytes = bytes;
        _id = id;
        Mark();
    }

    internal byte* Address { get; private set; }

    internal nuint Bytes { get; private set; }

    /// <summary>Throws if a place where a mark will be is not zero.</summary>
    internal static void CheckZero(void* address, nuint bytes)
    {
        foreach (nuint at in PlacesOf(bytes)) Pattern.CheckZero((byte*)address + at, MarkAt(at, bytes));
    }

    /// <summary>Throws if a mark is not as it was made.</summary>
    internal void Check() => Check(Bytes);

    /// <summary>The block was resized: checks what must have been kept and makes the marks of the new size.</summary>
    internal void Resized(void* address, nuint bytes)
    {
        Address = (byte*)address;
        Check(Math.Min(Bytes, bytes));
        Bytes = bytes;
        Mark();
    }

    private void Check(nuint kept)
    {
        foreach (nuint at in PlacesOf(Bytes))
        {
            if (at + MarkAt(at, Bytes) <= kept) Pattern.Check(Address + at, MarkAt(at, Bytes), _id + at);
        }
    }

    private void Mark()
    {
        foreach (nuint at in PlacesOf(Bytes)) Pattern.Fill(Address + at, MarkAt(at, Bytes), _id + at);
    }

    // Small blocks are marked as a whole; of others the beginning, the end, and places in between.
    private static IEnumerable<nuint> PlacesOf(nuint bytes)
    {
        if (bytes <= WholeBytes) return [0];
        return Enumerable.Range(0, (int)Places).Select(i => (bytes - MarkBytes) / (Places - 1) * (nuint)i);
    }

    private static nuint MarkAt(nuint at, nuint bytes) =>
        bytes <= WholeBytes ? bytes : at + MarkBytes * 2 > bytes ? bytes - at : MarkBytes;
}
