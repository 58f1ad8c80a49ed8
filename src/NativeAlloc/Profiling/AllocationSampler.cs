using System.Runtime.CompilerServices;
using NativeAlloc.Os;
using NativeAlloc.Slabs;
using NativeAlloc.Threads;

namespace NativeAlloc.Profiling;

/// <summary>
/// The profiler's part of allocations and frees. It is called on slow paths only, without a lock of the layers, and
/// makes no managed object: the thread may be inside of a C library's callback.
/// </summary>
/// <remarks>
/// One lock guards both tables. A thread holds it for one sample, that is some hundred nanoseconds, and a report for
/// <see cref="CopyAtOnce"/> records at a time.
/// </remarks>
internal static unsafe class AllocationSampler
{
    /// <summary>Records that a report reads under one lock: some ten microseconds.</summary>
    internal const int CopyAtOnce = 256;

    private static NativeLock s_lock;

    /// <summary>Samples that were not taken, as there was no memory for them. Any thread, by Interlocked.</summary>
    private static long s_lost;

    /// <summary>Samples that were lost so far. Any thread.</summary>
    internal static long Lost => Volatile.Read(ref s_lost);

    /// <summary>Switches sampling on. One thread at a time; allocates managed memory.</summary>
    internal static void Begin(nuint meanBytes)
    {
        s_lock.Acquire();
        StackTable.ResetTotals();
        s_lock.Release();
        SampledCaches.Begin();
        SampleGap.Set(meanBytes);
    }

    /// <summary>Switches it off. Samples that are live stay.</summary>
    internal static void End()
    {
        SampleGap.Set(0);
        SampledCaches.End();
    }

    /// <summary>An object of a size class, if it is to be a sample; else null, and the caller allocates it.</summary>
    /// <param name="block">The calling thread's block; null for none.</param>
    internal static void* AllocIfDue(void* block, int sizeClass)
    {
        if (!SampledCaches.IsDue(block, sizeClass)) return null;
        ObjectCache* cache = SampledCaches.Of(sizeClass);
        if (cache == null) return null;
        uint witness = SampledCaches.WitnessOf(block, sizeClass);
        void* pointer = MagazineExchange.AllocMiss(block, cache->Index, out _);
        if (pointer != null) Note(pointer, cache->ObjectBytes, witness);
        return pointer;
    }

    /// <summary>Looks whether a block that was just allocated, and is no object, is to be a sample.</summary>
    internal static void NoteLarge(void* pointer, nuint bytes)
    {
        if (SampledCaches.IsDue(ThreadRegistry.OwnBlock(), bytes)) Note(pointer, bytes, witness: 0);
    }

    /// <summary>
    /// To be called before a block is freed that may be a sample: afterwards another thread may have its address.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void NoteFree(void* pointer)
    {
        if (SampleTable.MayHave(pointer)) Remove(pointer);
    }

    /// <summary>
    /// Takes the sample of a block out, before the block is freed or changed; false where it is none.
    /// </summary>
    internal static bool TryTakeOut(void* pointer, out SampleRecord sample)
    {
        sample = default;
        if (!SampleTable.MayHave(pointer)) return false;
        s_lock.Acquire();
        bool found = TryRemove((nuint)pointer, out sample);
        s_lock.Release();
        return found;
    }

    /// <summary>Has a sample go on that was taken out. It is in the totals of its stack already.</summary>
    internal static void PutBack(in SampleRecord sample)
    {
        s_lock.Acquire();
        // The block may be a new sample where the profiler was switched while its contents moved there.
        TryRemove(sample.Address, out _);
        bool added = TryAdd(sample);
        s_lock.Release();
        if (!added) Interlocked.Increment(ref s_lost);
    }

    /// <summary>Copies stacks from a number on, at most <see cref="CopyAtOnce"/>; returns how many.</summary>
    internal static int CopyStacks(int first, Span<StackRecord> stacks)
    {
        s_lock.Acquire();
        int count = Math.Clamp(StackTable.Count - first, 0, Math.Min(stacks.Length, CopyAtOnce));
        for (int i = 0; i < count; i++) stacks[i] = *StackTable.At(first + i);
        s_lock.Release();
        return count;
    }

    /// <summary>What all samples since the start stand for. Threads go on meanwhile.</summary>
    internal static Estimate ReadTotal()
    {
        Estimate total = default;
        int next = 0, end;
        do
        {
            s_lock.Acquire();
            end = StackTable.Count;
            for (int last = Math.Min(end, next + CopyAtOnce); next < last; next++)
                total.Add(StackTable.At(next)->Total);
            s_lock.Release();
        }
        while (next < end);
        return total;
    }

    /// <summary>Copies samples from a record on, also free records, whose address is 0; returns how many.</summary>
    internal static int CopySamples(int first, Span<SampleRecord> samples)
    {
        s_lock.Acquire();
        int count = Math.Clamp(SampleTable.End - first, 0, Math.Min(samples.Length, CopyAtOnce));
        for (int i = 0; i < count; i++) samples[i] = *SampleTable.At(first + i);
        s_lock.Release();
        return count;
    }

    /// <summary>The addresses of a stack. They never change.</summary>
    internal static ReadOnlySpan<nint> FramesOf(int stack) => StackTable.FramesOf(stack);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Note(void* pointer, nuint bytes, uint witness)
    {
        nint* frames = stackalloc nint[StackWalker.MostFrames];
        int depth = StackWalker.Take(frames);
        double weight = SampleGap.WeightOf(bytes);
        SampleRecord sample = new()
        {
            Address = (nuint)pointer,
            Weight = new Estimate
            {
                Bytes = (long)(weight * bytes),
                BlockPartsCount = (long)(weight * Estimate.BlockParts),
            },
            Milliseconds = Environment.TickCount64,
            Witness = witness,
        };
        StackLines.Enter();
        s_lock.Acquire();
        sample.Stack = StackTable.FindOrAdd(frames, depth, out bool isNew);
        bool added = sample.Stack >= 0 && TryAdd(sample);
        if (added) StackTable.At(sample.Stack)->Total.Add(sample.Weight);
        s_lock.Release();
        if (!added) Interlocked.Increment(ref s_lost);
        if (isNew) StackLines.TakeIfOn(sample.Stack);
        StackLines.Leave();
        EventRing.Raise(EventKind.Sampled, (ulong)pointer, bytes);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Remove(void* pointer) => TryTakeOut(pointer, out _);

    // With the lock held, as the next.
    private static bool TryAdd(in SampleRecord sample)
    {
        if (!SampleTable.TryAdd(sample)) return false;
        StackRecord* stack = StackTable.At(sample.Stack);
        stack->LiveSamples++;
        stack->Live.Add(sample.Weight);
        return true;
    }

    private static bool TryRemove(nuint address, out SampleRecord sample)
    {
        if (!SampleTable.TryRemove(address, out sample)) return false;
        StackRecord* stack = StackTable.At(sample.Stack);
        stack->LiveSamples--;
        stack->Live.Add(sample.Weight, -1);
        return true;
    }
}
