using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Release;

/// <summary>
/// One operation that needs memory, from its beginning to its success or failure: what all of them do when they find
/// none.
/// </summary>
/// <remarks>
/// <code>
/// AllocationAttempt attempt = new(byteCount);
/// do pointer = TryOnce(out attempt.Refusal);
/// while (pointer == null &amp;&amp; attempt.TryMakeRoom());
/// </code>
/// <para>When it is finished, the caller attends to what the lower layers have raised in it
/// (<c>DecayThread.Attend</c>).</para>
/// <para><b>User code runs between two tries</b>, as shrinkers are asked. It may release the thread's cache, and
/// another thread may own the thread's block then: each try fetches the block anew.</para>
/// <para>Room is made in portions, the cheapest first. Where the resident limit was in the way: a look at what the
/// process really has; so much of free pages and kept areas; all caches; the shrinkers. Where the system gave nothing
/// there is one portion, as what is missing is unknown: everything.</para>
/// </remarks>
internal ref struct AllocationAttempt
{
    // At the limit, where other threads take what this one has made room with.
    private const int MostRounds = 6;

    // A portion is no smaller than this part of the limit: at the limit each allocation would come here again.
    private const int PortionShift = 6;

    private readonly nuint _bytes;
    private int _rounds;
    private bool _isFreeGone, _wasReclaimed;

    /// <summary>Why the last try found nothing.</summary>
    internal Refusal Refusal;

    /// <summary>Begins an operation. The layers have begun.</summary>
    /// <param name="bytes">What the user asked for.</param>
    /// <exception cref="InvalidOperationException">The surroundings set an option to something that it cannot
    /// be.</exception>
    internal AllocationAttempt(nuint bytes)
    {
        Options.ThrowIfWrong();
        _bytes = bytes;
    }

    /// <summary>What the user asked for.</summary>
    internal readonly nuint Bytes => _bytes;

    /// <summary>Whether memory was given back for it, in vain.</summary>
    internal readonly bool WasReclaimed => _wasReclaimed;

    /// <summary>What a shrinker threw; null where none did.</summary>
    internal Exception? ShrinkerError { get; private set; }

    /// <summary>
    /// Gets back what may be just what is missing. False where the operation is to give up: there is nothing more, or
    /// it could not succeed with everything.
    /// </summary>
    internal bool TryMakeRoom()
    {
        _rounds++;
        if (!CanSucceed()) return false;
        if (!Refusal.IsResidentLimit) return _rounds == 1 && TryRun(_bytes) && TryAwaitOthers();
        return _rounds <= MostRounds && TryMakeRoomBelowLimit(Math.Max(_bytes, Refusal.Bytes));
    }

    /// <summary>
    /// The same for pages that can be moved but for the limit: a copy would need more than that refused. False also
    /// where something else was in the way.
    /// </summary>
    internal bool TryMakeRoomToMove() => Refusal.IsResidentLimit && TryMakeRoom();

    // What caches and shrinkers hold may be just what is missing, but not where everything together would not do.
    private readonly bool CanSucceed()
    {
        switch (Refusal.Reason)
        {
            case RefusalReason.LockLimit:
                return false; // nothing that is free or cached is locked
            case RefusalReason.ResidentLimit when Math.Max(_bytes, Refusal.Bytes) > ResidentBudget.LimitBytes:
                ResidentBudget.RefreshLimit();
                return Math.Max(_bytes, Refusal.Bytes) <= ResidentBudget.LimitBytes;
            default:
                return _bytes <= Math.Max(VmallocSpace.Bytes, LargeBlocks.LargestBytes);
        }
    }

    private bool TryMakeRoomBelowLimit(nuint bytes)
    {
        if (ResidentBudget.TryRaise(Refusal.Bytes)) return true;
        ResidentBudget.CountHit();
        nuint portion = Math.Max(bytes, ResidentBudget.LimitBytes >> PortionShift);
        if (!_isFreeGone && !MemorySignals.t_isReclaiming)
        {
            _isFreeGone = true; // once: after that other threads may take it again and again
            if (Reclaimer.ReleaseFree(portion) >= Refusal.Bytes)
            {
                ResidentBudget.Rearm();
                return true;
            }
        }
        if (_wasReclaimed) PageLayer.AwaitPurge();
        // The caches first, and the shrinkers where that did not do.
        if (!TryRun(_wasReclaimed ? bytes : 0)) return false;
        ResidentBudget.Rearm();
        return true;
    }

    // What other threads are giving back just now is in no list, whether it is purged or goes offline.
    private static bool TryAwaitOthers()
    {
        PageLayer.AwaitPurge();
        return true;
    }

    private bool TryRun(nuint wantedBytes)
    {
        if (!Reclaimer.Run(wantedBytes, out Exception? error)) return false;
        _wasReclaimed = true;
        ShrinkerError = error ?? ShrinkerError;
        return true;
    }
}
