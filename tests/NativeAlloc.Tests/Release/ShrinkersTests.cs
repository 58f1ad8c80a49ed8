using NativeAlloc.Pages;
using NativeAlloc.Release;
using Xunit;

namespace NativeAlloc.Tests.Release;

/// <summary>Shows who is asked for memory, in which order, until when, and that no answer does harm.</summary>
public sealed class ShrinkersTests : IDisposable
{
    private readonly List<IDisposable> _registrations = [];
    private readonly List<string> _asked = [];

    public void Dispose() => _registrations.ForEach(registration => registration.Dispose());

    [Fact]
    public void Nobody_registered_gives_nothing()
    {
        Assert.Equal(0u, Shrinkers.Ask(1000, out Exception? error));
        Assert.Null(error);
    }

    [Fact]
    public void They_are_asked_in_the_order_of_registration_for_what_is_still_missing_until_it_is_enough()
    {
        (long calls, long bytes) = (Shrinkers.Calls, Shrinkers.Bytes);
        Add("first", 300);
        Add("second", 700);
        Add("third", 50);
        Assert.Equal(1000u, Shrinkers.Ask(1000, out _));
        Assert.Equal(["first 1000", "second 700"], _asked);
        Assert.Equal((calls + 2, unchecked(bytes + 1000)), (Shrinkers.Calls, Shrinkers.Bytes));
        _asked.Clear();
        Assert.Equal(1050u, Shrinkers.Ask(5000, out _)); // all that there is
        Assert.Equal(["first 5000", "second 4700", "third 4000"], _asked);
    }

    [Fact]
    public void Where_nothing_is_missing_nobody_is_asked()
    {
        Add("first", 300);
        long calls = Shrinkers.Calls;
        Assert.Equal(0u, Shrinkers.Ask(0, out _));
        Assert.Empty(_asked);
        Assert.Equal(calls, Shrinkers.Calls);
    }

    [Fact]
    public void More_than_there_can_be_is_enough_and_no_overflow()
    {
        Add("some", 10);
        Add("all there can be", nuint.MaxValue);
        Add("never", 1);
        Assert.Equal(nuint.MaxValue, Shrinkers.Ask(nuint.MaxValue, out _));
        Assert.Equal(2, _asked.Count);
    }

    [Fact]
    public void One_that_throws_is_counted_and_the_next_is_asked()
    {
        long failures = Shrinkers.Failures;
        InvalidOperationException thrown = new("not now");
        _registrations.Add(Shrinkers.Register(_ => throw thrown));
        Add("second", 40);
        Assert.Equal(40u, Shrinkers.Ask(100, out Exception? error));
        Assert.Same(thrown, error);
        Assert.Equal(["second 100"], _asked);
        Assert.Equal(failures + 1, Shrinkers.Failures);
    }

    [Fact]
    public void Who_is_disposed_is_asked_no_more_and_the_others_are()
    {
        Add("first", 1);
        Add("second", 1);
        Add("third", 1);
        _registrations[1].Dispose();
        _registrations[1].Dispose(); // twice is once
        Shrinkers.Ask(100, out _);
        Assert.Equal(["first 100", "third 99"], _asked);
    }

    [Fact]
    public void Two_registrations_of_the_same_are_two()
    {
        nuint Shrink(nuint wanted)
        {
            _asked.Add("it");
            return 1;
        }
        IDisposable one = Shrinkers.Register(Shrink);
        _registrations.Add(Shrinkers.Register(Shrink));
        Assert.Equal(2u, Shrinkers.Ask(10, out _));
        one.Dispose();
        Assert.Equal(1u, Shrinkers.Ask(10, out _));
        Assert.Equal(3, _asked.Count);
    }

    [Fact]
    public void A_shrinker_may_register_and_dispose_while_it_is_asked_and_the_call_goes_on_as_it_began()
    {
        IDisposable? self = null;
        self = Shrinkers.Register(_ =>
        {
            self!.Dispose();
            _registrations.ForEach(registration => registration.Dispose());
            Add("later", 5);
            return 1;
        });
        Add("after it", 2);
        Assert.Equal(3u, Shrinkers.Ask(100, out _));
        Assert.Equal(["after it 99"], _asked);
        _asked.Clear();
        Assert.Equal(5u, Shrinkers.Ask(100, out _));
        Assert.Equal(["later 100"], _asked);
    }

    private void Add(string name, nuint bytes) => _registrations.Add(Shrinkers.Register(wanted =>
    {
        _asked.Add($"{name} {wanted}");
        return bytes;
    }));
}
