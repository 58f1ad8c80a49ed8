using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Os;

namespace NativeAlloc.Threads;

/// <summary>
/// Says who uses a layer's part of a thread block: the owner between <see cref="TryEnter"/> and <see cref="Leave"/>, or
/// another thread that has claimed the part and found the owner outside (see <see cref="ClaimRound{TPart,TSteps}"/>).
/// </summary>
/// <remarks>
/// <para>The owner stores "inside" and then loads the claim. The other thread stores the claim, makes every processor
/// of the process pass a memory barrier, and then loads "inside". The barrier cuts the owner's steps in two. If the
/// store of "inside" comes before the cut, the other thread sees it and drops its claim. If it comes after the cut, the
/// owner's load, which comes later still, sees the claim, and the owner turns back. So the two are never in the part at
/// the same time. They may both turn back; that costs the owner one slower operation and the other thread one
/// part.</para>
/// <para>The owner needs no barrier of its own: it pays two plain stores and one load. The processor may do its load
/// before its store is seen by others, but not across the barrier. What the other thread did under its claim is seen by
/// the owner's next visit: the store that ends the claim releases it, and the load in <see cref="TryEnter"/> acquires
/// it. In the same way <see cref="Leave"/> hands the owner's work to the next claim.</para>
/// <para><b>Parked</b> is a claim that outlives its round: the fast paths, which only call <see cref="TryEnter"/>, turn
/// back until the owner has come by a slow path and calls <see cref="TryUnparkAndEnter"/>.</para>
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct OwnerClaim
{
    /// <summary>1 while the owner is inside. Written by the owner, read by any thread.</summary>
    private int _inside;

    /// <summary>
    /// 0, <see cref="Claimed"/> or <see cref="Parked"/>. Written by the thread whose round it is; only the owner's way
    /// from parked to 0 is an exchange. Read by any thread.
    /// </summary>
    private int _claimed;

    private const int Claimed = 1, Parked = 2;

    /// <summary>
    /// Begins a visit of the owner; false while another thread has the claim, and while the part is parked.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal unsafe bool TryEnter()
    {
        ThreadRegistry.AssertHeld(Unsafe.AsPointer(ref this));
        SchedulePoint.Reach();
        Volatile.Write(ref _inside, 1);
        if (Volatile.Read(ref _claimed) == 0) return true;
        Volatile.Write(ref _inside, 0);
        return false;
    }

    /// <summary>Begins a visit of the owner from a slow path: a part that is parked is the owner's again.</summary>
    internal bool TryUnparkAndEnter()
    {
        if (IsParked) Interlocked.CompareExchange(ref _claimed, 0, Parked);
        return TryEnter();
    }

    /// <summary>Ends the owner's visit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave()
    {
        Volatile.Write(ref _inside, 0);
        SchedulePoint.Reach();
    }

    internal readonly bool IsInside => Volatile.Read(in _inside) != 0;

    internal readonly bool IsClaimed => Volatile.Read(in _claimed) == Claimed;

    internal readonly bool IsParked => Volatile.Read(in _claimed) == Parked;

    /// <summary>
    /// Claims the part. The part may be used only after a barrier on all processors, and if the owner is outside then.
    /// </summary>
    internal void Claim() => Volatile.Write(ref _claimed, Claimed);

    /// <summary>Ends the claim, or leaves the part parked.</summary>
    internal void EndClaim(bool park = false) => Volatile.Write(ref _claimed, park ? Parked : 0);
}
