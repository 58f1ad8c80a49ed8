using NativeAlloc.Pages;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Threads;

/// <summary>
/// Shows that an owner and a thread that claims its part of a block are never in it at the same time, in every order of
/// their steps and whatever the owner's processor does with its stores, and that this needs the barrier.
/// </summary>
public sealed unsafe class OwnerClaimTests : IDisposable
{
    private readonly TestThread _thread = new(); // has a block and does nothing
    private readonly OwnerClaim* _claim;
    private readonly int _index;
    private bool _ownerIsIn, _otherIsIn, _met;
    private int _ownerVisits, _otherVisits;

    public OwnerClaimTests()
    {
        nint block = 0;
        _thread.Run(() => block = (nint)NativeAllocator.GetBlock());
        _claim = &ThreadPages.Of((void*)block)->Claim;
        while ((nint)ThreadRegistry.At(_index) != block) _index++;
    }

    public void Dispose() => _thread.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_owner_and_a_thread_that_claims_never_meet_and_each_gets_in(bool isWeak)
    {
        int runs = RunAll(new WeakOrders(isWeak));
        Assert.False(_met);
        string visits = $"{runs} orders, {_ownerVisits} and {_otherVisits} visits";
        Assert.True(runs > 20 && _ownerVisits != 0 && _otherVisits != 0, visits);
    }

    [Fact]
    public void Without_the_barrier_they_meet()
    {
        RunAll(new WeakOrders(isWeak: true, leftOut: 1));
        Assert.True(_met);
    }

    [Fact]
    public void A_parked_part_is_the_owners_again_when_it_comes_by_a_slow_path()
    {
        OwnerClaim claim = default;
        claim.Claim();
        Assert.True(claim.IsClaimed);
        Assert.False(claim.TryUnparkAndEnter());
        Assert.False(claim.IsInside); // an owner that turned back keeps the other thread waiting no longer
        claim.EndClaim(park: true);
        Assert.True(claim is { IsParked: true, IsClaimed: false });
        Assert.False(claim.TryEnter());
        Assert.False(claim.IsInside);
        Assert.True(claim.TryUnparkAndEnter());
        Assert.True(claim is { IsParked: false, IsInside: true });
        claim.Leave();
        Assert.False(claim.IsInside);
    }

    private int RunAll(WeakOrders orders)
    {
        nint inside = (nint)_claim, claimed = (nint)_claim + sizeof(int);
        return orders.RunAll(() =>
        {
            int step = 0;
            bool entered = false;
            orders.Owner = () =>
            {
                switch (step++)
                {
                    case 0 or 4: // enters, twice in all
                        orders.Store(inside, 1, sizeof(int));
                        return true;
                    case 1 or 5:
                        entered = orders.Load(claimed, sizeof(int)) == 0;
                        if (entered) Meet(ref _ownerIsIn, ref _ownerVisits, true);
                        return true;
                    case 2 or 6:
                        if (entered) Meet(ref _ownerIsIn, ref _ownerVisits, false);
                        return true;
                    case 3 or 7: // leaves, or turns back
                        orders.Store(inside, 0, sizeof(int));
                        return true;
                    default:
                        return false;
                }
            };
            orders.Pause();
            Assert.True(ClaimRound<ThreadPages, WeakOrders.Steps>.TryBegin(_index, _index + 1, out var round));
            round.Claim(ThreadRegistry.At(_index));
            round.Hold();
            foreach (byte* block in round)
            {
                Meet(ref _otherIsIn, ref _otherVisits, true);
                orders.Pause();
                Meet(ref _otherIsIn, ref _otherVisits, false);
            }
            round.End();
            orders.Finish();
            Assert.False(_claim->IsClaimed || _claim->IsInside);
        });
    }

    private void Meet(ref bool isIn, ref int visits, bool enters)
    {
        isIn = enters;
        if (enters) visits++;
        _met |= _ownerIsIn && _otherIsIn;
    }
}
