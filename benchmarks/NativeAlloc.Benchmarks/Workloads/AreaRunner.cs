using System.Runtime.CompilerServices;
using NativeAlloc.Benchmarks.Allocators;

namespace NativeAlloc.Benchmarks.Workloads;

/// <summary>The measured loops of <see cref="PreparedAreas"/>, for one thread.</summary>
internal static unsafe class AreaRunner<TAllocator>
    where TAllocator : struct, IAllocator
{
    /// <param name="plan">What to do.</param>
    /// <param name="slots">Room for as many areas as live at a time; empty before, and after but for
    /// <see cref="AreaPhase.First"/>.</param>
    public static void Run(AreaPlan plan, void** slots)
    {
        if (plan.Phase == AreaPhase.Grow)
        {
            Grow(plan.Sizes);
            return;
        }

        Cycle(plan, slots);
        if (plan.Phase == AreaPhase.Cycle)
            FreeRest(plan, slots);
    }

    /// <summary>Frees what <see cref="Cycle"/> left.</summary>
    public static void FreeRest(AreaPlan plan, void** slots)
    {
        nuint[] sizes = plan.Sizes;
        for (int i = Math.Max(0, sizes.Length - plan.Live); i < sizes.Length; i++)
            TAllocator.FreeLarge(slots[i % plan.Live], sizes[i]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Cycle(AreaPlan plan, void** slots)
    {
        nuint[] sizes = plan.Sizes;
        int live = plan.Live;
        for (int i = 0; i < sizes.Length; i++)
        {
            ref void* slot = ref slots[i % live];
            if (i >= live)
                TAllocator.FreeLarge(slot, sizes[i - live]);
            slot = TAllocator.AllocLarge(sizes[i]);
            Touch((byte*)slot, 0, sizes[i]);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Grow(nuint[] sizes)
    {
        byte* area = (byte*)TAllocator.AllocLarge(sizes[0]);
        Touch(area, 0, sizes[0]);
        for (int i = 1; i < sizes.Length; i++)
        {
            area = (byte*)TAllocator.ReallocLarge(area, sizes[i - 1], sizes[i]);
            if (area[0] != 1 || area[sizes[i - 1] - AreaPlan.SystemPageBytes] != 1)
                throw new InvalidDataException("an area that has grown does not hold what was written to it");
            Touch(area, sizes[i - 1], sizes[i]);
        }

        TAllocator.FreeLarge(area, sizes[^1]);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch(byte* area, nuint from, nuint to)
    {
        for (nuint at = from; at < to; at += AreaPlan.SystemPageBytes)
            area[at] = 1;
    }
}
