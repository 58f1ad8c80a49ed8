using NativeAlloc.Os;

namespace NativeAlloc.Threads;

/// <summary>A layer's part of a thread block, which other threads can claim.</summary>
internal unsafe interface IClaimedPart
{
    static abstract OwnerClaim* ClaimOf(byte* block);
}

/// <summary>
/// How a round of claims goes on from step to step. Tests replace it by one that tries every order of the steps.
/// </summary>
internal interface IClaimSteps
{
    /// <summary>Stands before each step that the owner of a block can see.</summary>
    static abstract void BeforeStep();

    /// <summary>Makes every processor of the process pass a memory barrier.</summary>
    static abstract void PassBarrier();
}

/// <summary>The steps as the processors make them.</summary>
internal readonly struct ProcessorSteps : IClaimSteps
{
    public static void BeforeStep() => SchedulePoint.Reach();

    public static void PassBarrier() => Interlocked.MemoryBarrierProcessWide();
}

/// <summary>
/// A round in which one thread claims a layer's part of other threads' blocks, works on those whose owners are outside,
/// and ends the claims: <see cref="TryBegin"/>, <see cref="Claim"/> for each block that is wanted, <see cref="Hold"/>,
/// a foreach over the blocks that are held, <see cref="End"/>. One barrier serves all blocks. At most one round goes on
/// for a part at a time. Why the claims hold stands at <see cref="OwnerClaim"/>.
/// </summary>
internal unsafe ref struct ClaimRound<TPart, TSteps>
    where TPart : unmanaged, IClaimedPart
    where TSteps : struct, IClaimSteps
{
    /// <summary>1 while a round goes on. By Interlocked.</summary>
    private static int s_running;

    private readonly int _first, _end;
    private bool _anyClaimed;

    private ClaimRound(int first, int end) => (_first, _end) = (first, end);

    /// <summary>
    /// Begins a round over the blocks from one index to before another; false while another thread's round goes on.
    /// </summary>
    internal static bool TryBegin(int first, int end, out ClaimRound<TPart, TSteps> round)
    {
        round = new ClaimRound<TPart, TSteps>(first, end);
        return Interlocked.CompareExchange(ref s_running, 1, 0) == 0;
    }

    /// <summary>Indexes of the round's blocks in the registry: from here to before <see cref="EndIndex"/>.</summary>
    internal readonly int FirstIndex => _first;

    internal readonly int EndIndex => _end;

    /// <summary>Claims a block. It is not held yet.</summary>
    internal void Claim(byte* block)
    {
        TPart.ClaimOf(block)->Claim();
        _anyClaimed = true;
    }

    /// <summary>Makes the claims hold, and drops those whose owners are inside. True if none was dropped.</summary>
    internal readonly bool Hold()
    {
        if (!_anyClaimed) return true;
        TSteps.PassBarrier();
        bool all = true;
        foreach (byte* block in this)
        {
            OwnerClaim* claim = TPart.ClaimOf(block);
            if (!claim->IsInside) continue;
            claim->EndClaim();
            all = false;
        }
        return all;
    }

    /// <summary>Ends the claims that are held, and the round.</summary>
    /// <param name="park">The owners of the blocks are to come by a slow path before they use them again.</param>
    internal readonly void End(bool park = false)
    {
        foreach (byte* block in this) TPart.ClaimOf(block)->EndClaim(park);
        Volatile.Write(ref s_running, 0);
    }

    public readonly Enumerator GetEnumerator() => new(_first - 1, _anyClaimed ? _end : _first);

    /// <summary>Goes through the blocks that are claimed.</summary>
    internal ref struct Enumerator(int at, int end)
    {
        public readonly byte* Current => ThreadRegistry.At(at);

        public bool MoveNext()
        {
            while (++at < end)
                if (ThreadRegistry.HasMemory(at) && TPart.ClaimOf(ThreadRegistry.At(at))->IsClaimed) return true;
            return false;
        }
    }
}
