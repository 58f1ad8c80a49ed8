using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Profiling;

/// <summary>Bytes and blocks that a set of samples stands for. Blocks are counted in parts.</summary>
internal struct Estimate
{
    /// <summary>Parts of a block: a sample may stand for one and a half.</summary>
    internal const int BlockParts = 1024;

    public long Bytes, BlockPartsCount;

    internal readonly long Blocks => (BlockPartsCount + BlockParts / 2) / BlockParts;

    /// <summary>As many blocks, each of so many bytes.</summary>
    internal readonly Estimate OfSize(nuint bytes) =>
        this with { Bytes = (long)((double)BlockPartsCount / BlockParts * bytes) };

    internal void Add(in Estimate other, int sign = 1)
    {
        Bytes += sign * other.Bytes;
        BlockPartsCount += sign * other.BlockPartsCount;
    }
}

/// <summary>A stack from which samples came.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct StackRecord
{
    /// <summary>Of the addresses.</summary>
    public ulong Hash;

    /// <summary>Where its addresses begin in the table of all.</summary>
    public int FirstFrame;

    /// <summary>Addresses of it.</summary>
    public int Frames;

    /// <summary>The next stack with the same low bits of the hash, plus 1; 0 for none.</summary>
    public int Next;

    /// <summary>Samples that are live.</summary>
    public int LiveSamples;

    /// <summary>What the samples that are live stand for.</summary>
    public Estimate Live;

    /// <summary>What all samples since the profiler's start stand for.</summary>
    public Estimate Total;
}

/// <summary>
/// All stacks from which samples came, in native memory, each once. Every member is called with the lock of
/// <see cref="AllocationSampler"/> held.
/// </summary>
internal static unsafe class StackTable
{
    private const int Heads = 1 << 14, MostStacks = 1 << 20, MostFrames = 1 << 24;

    private static MetadataRegion s_heads, s_stacks, s_frames;

    private static int s_count, s_frameCount;

    /// <summary>Stacks that there are; they are numbered from 0.</summary>
    internal static int Count => s_count;

    internal static StackRecord* At(int stack) => (StackRecord*)s_stacks.Address + stack;

    /// <summary>The addresses of a stack.</summary>
    internal static ReadOnlySpan<nint> FramesOf(int stack) =>
        new((nint*)s_frames.Address + At(stack)->FirstFrame, At(stack)->Frames);

    /// <summary>The number of a stack, which is added if it is new; -1 where there is no memory for it.</summary>
    internal static int FindOrAdd(nint* frames, int count, out bool isNew)
    {
        isNew = false;
        if (!TryMake()) return -1;
        ReadOnlySpan<nint> wanted = new(frames, count);
        ulong hash = StackWalker.HashOf(wanted);
        int* head = (int*)s_heads.Address + (int)(hash % Heads);
        for (int next = *head; next != 0; next = At(next - 1)->Next)
            if (At(next - 1)->Hash == hash && FramesOf(next - 1).SequenceEqual(wanted)) return next - 1;
        if (s_count == MostStacks || s_frameCount + count > MostFrames
            || !s_stacks.TryCommitTo((nuint)(s_count + 1) * (nuint)sizeof(StackRecord))
            || !s_frames.TryCommitTo((nuint)(s_frameCount + count) * (nuint)sizeof(nint))) return -1;
        *At(s_count) = new StackRecord { Hash = hash, FirstFrame = s_frameCount, Frames = count, Next = *head };
        wanted.CopyTo(new Span<nint>((nint*)s_frames.Address + s_frameCount, count));
        s_frameCount += count;
        *head = ++s_count;
        isNew = true;
        return s_count - 1;
    }

    /// <summary>Begins the totals of all stacks anew.</summary>
    internal static void ResetTotals()
    {
        for (int stack = 0; stack < s_count; stack++) At(stack)->Total = default;
    }

    private static bool TryMake()
    {
        if (s_heads.Bytes == 0)
        {
            s_heads = MetadataRegion.Reserve(Heads * sizeof(int));
            s_stacks = MetadataRegion.ReserveUpTo((nuint)MostStacks * (nuint)sizeof(StackRecord));
            s_frames = MetadataRegion.ReserveUpTo((nuint)MostFrames * (nuint)sizeof(nint));
        }
        return s_heads.TryCommitTo(Heads * sizeof(int));
    }
}
