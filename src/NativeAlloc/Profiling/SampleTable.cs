using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Profiling;

/// <summary>A sampled block that is not freed yet.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct SampleRecord
{
    public nuint Address;

    /// <summary>What it stands for.</summary>
    public Estimate Weight;

    /// <summary>When it was allocated, by <see cref="Environment.TickCount64"/>.</summary>
    public long Milliseconds;

    /// <summary>Its stack in <see cref="StackTable"/>.</summary>
    public int Stack;

    /// <summary>The next sample with the same hash, or the next free record, plus 1; 0 for none.</summary>
    public int Next;

    /// <summary>
    /// The page that the block would lie in if it were no sample, plus 1; 0 where that is not known. Its neighbours
    /// there are what was allocated with it.
    /// </summary>
    public uint Witness;
}

/// <summary>
/// The live samples by their address, in native memory. Every member but <see cref="MayHave"/> is called with the lock
/// of <see cref="AllocationSampler"/> held.
/// </summary>
internal static unsafe class SampleTable
{
    private const int HeadBits = 16, Heads = 1 << HeadBits, MostSamples = 1 << 24;

    private static MetadataRegion s_heads, s_samples;

    /// <summary>Records that were ever used; records that are free, by number plus 1.</summary>
    private static int s_end, s_firstFree;

    /// <summary>Read by any thread, by Volatile; not 0 only after the heads were made.</summary>
    private static int s_live;

    /// <summary>
    /// False where no sample has the address: nearly always, as there are many more heads than samples. The thread must
    /// own the block, so that it sees the sample that was made of it. Any thread, without the lock.
    /// </summary>
    internal static bool MayHave(void* pointer) =>
        Volatile.Read(ref s_live) != 0 && Volatile.Read(ref *HeadOf((nuint)pointer)) != 0;

    /// <summary>Records up to here may be live: those whose address is not 0.</summary>
    internal static int End => s_end;

    internal static SampleRecord* At(int record) => (SampleRecord*)s_samples.Address + record;

    /// <summary>Adds a sample; false where there is no memory for it.</summary>
    internal static bool TryAdd(in SampleRecord sample)
    {
        if (!TryMake()) return false;
        int record = s_firstFree - 1;
        if (record >= 0)
        {
            s_firstFree = At(record)->Next;
        }
        else
        {
            if (s_end == MostSamples || !s_samples.TryCommitTo((nuint)(s_end + 1) * (nuint)sizeof(SampleRecord)))
                return false;
            record = s_end++;
        }
        int* head = HeadOf(sample.Address);
        *At(record) = sample;
        At(record)->Next = *head;
        Volatile.Write(ref *head, record + 1);
        Volatile.Write(ref s_live, s_live + 1);
        return true;
    }

    /// <summary>Takes the sample at an address out; false where there is none.</summary>
    internal static bool TryRemove(nuint address, out SampleRecord sample)
    {
        sample = default;
        if (!s_heads.IsUsable) return false;
        for (int* link = HeadOf(address); *link != 0; link = &At(*link - 1)->Next)
        {
            SampleRecord* found = At(*link - 1);
            if (found->Address != address) continue;
            sample = *found;
            int next = found->Next;
            found->Address = 0;
            found->Next = s_firstFree;
            s_firstFree = *link;
            Volatile.Write(ref *link, next);
            Volatile.Write(ref s_live, s_live - 1);
            return true;
        }
        return false;
    }

    private static bool TryMake()
    {
        if (s_heads.Bytes == 0)
        {
            s_heads = MetadataRegion.Reserve(Heads * sizeof(int));
            s_samples = MetadataRegion.ReserveUpTo((nuint)MostSamples * (nuint)sizeof(SampleRecord));
        }
        return s_heads.TryCommitTo(Heads * sizeof(int));
    }

    private static int* HeadOf(nuint address) =>
        (int*)s_heads.Address + (int)(unchecked((ulong)address * 0x9E3779B97F4A7C15) >> (64 - HeadBits));
}
