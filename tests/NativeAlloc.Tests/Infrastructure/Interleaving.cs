using NativeAlloc.Os;
using NativeAlloc.Slabs;
using NativeAlloc.TestHost;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Two threads that take turns step by step, in every order there is. The code under test calls
/// <see cref="BeforeStep"/> before each of its atomic steps, or goes through <see cref="SchedulePoint"/>; there the
/// thread that holds the baton keeps it or hands it over, as the schedule says. A schedule is a sequence of choices;
/// after each run the last choice that has an alternative left is changed, until none has.
/// </summary>
/// <remarks>
/// Long actions have too many orders to try them all. <see cref="MostPreemptions"/> leaves those in which a thread that
/// could go on gives way no more often than so: most faults need one or two (Musuvathi and Qadeer, "Iterative Context
/// Bounding", 2007).
/// </remarks>
internal sealed class Interleaving : Depot.IPause, IDisposable
{
    [ThreadStatic]
    internal static Actor? t_actor;

    private readonly Actor[] _actors;
    private readonly Signal _bothDone = new();

    // The choices to make, and where they end the first of those who can go on.
    private readonly List<Choice> _choices = [];
    private int _next, _preemptions;

    internal Interleaving() => _actors = [new Actor(this, 0), new Actor(this, 1)];

    /// <summary>How often a thread that could go on gives way to the other one.</summary>
    internal int MostPreemptions { get; init; } = int.MaxValue;

    /// <summary>Whether the threads take turns at the library's own <see cref="SchedulePoint"/>s.</summary>
    internal bool UsesSchedulePoints { get; init; }

    /// <summary>Of the current run: which thread made each step.</summary>
    internal List<int> Steps { get; } = [];

    /// <summary>The pause of code that may run on any thread: nothing happens on one that is none of the two.</summary>
    public static void BeforeStep() => t_actor?.Pause();

    /// <summary>Runs two actions in every order of their steps and returns how many orders there are.</summary>
    /// <param name="setUp">Called before each run; returns the two actions.</param>
    /// <param name="check">Called after each run; what it throws is thrown here, with the steps that led there.</param>
    internal int RunAll(Func<(Action First, Action Second)> setUp, Action check)
    {
        _choices.Clear();
        int runs = 0;
        do
        {
            Run(setUp, check);
            runs++;
        }
        while (MoveToNextSchedule());
        return runs;
    }

    /// <summary>
    /// Runs two actions in one order: thread by thread as the steps say, and after their end each as long as it can.
    /// </summary>
    internal void RunOnce(ReadOnlySpan<int> steps, Func<(Action First, Action Second)> setUp, Action check)
    {
        _choices.Clear();
        foreach (int actor in steps) _choices.Add(new Choice(actor, Choice.None));
        Run(setUp, check);
    }

    private void Run(Func<(Action First, Action Second)> setUp, Action check)
    {
        Steps.Clear();
        _next = _preemptions = 0;
        (Action first, Action second) = setUp();
        _actors[0].Prepare(first);
        _actors[1].Prepare(second);
        Choose(null, null).TakeBaton();
        _bothDone.Wait();
        try
        {
            foreach (Actor actor in _actors) actor.ThrowError();
            check();
        }
        catch (Exception error)
        {
            throw new InvalidOperationException(
                $"The order of steps {string.Concat(Steps.Select(actor => "AB"[actor]))}: {error.Message}", error);
        }
    }

    private bool MoveToNextSchedule()
    {
        while (_choices.Count != 0 && _choices[^1].Other == Choice.None) _choices.RemoveAt(_choices.Count - 1);
        if (_choices.Count == 0) return false;
        _choices[^1] = new Choice(_choices[^1].Other, Choice.None);
        return true;
    }

    // Who makes the next step; a choice only where both can. Whoever has made the last goes on first, so that the first
    // order is one thread after the other.
    private Actor Choose(Actor? current, Actor? only)
    {
        bool isFree = only == null && (current == null || _preemptions < MostPreemptions);
        int actor = (only ?? current)?.Number ?? 0;
        if (_next == _choices.Count) _choices.Add(new Choice(actor, isFree ? 1 - actor : Choice.None));
        else if (isFree) actor = _choices[_next].Actor;
        _next++;
        if (isFree && current != null && actor != current.Number) _preemptions++;
        Steps.Add(actor);
        return _actors[actor];
    }

    public void Dispose()
    {
        foreach (Actor actor in _actors) actor.Dispose();
        _bothDone.Dispose();
    }

    /// <param name="Actor">Who makes the step.</param>
    /// <param name="Other">Who else might, and has not yet after the steps before it.</param>
    private readonly record struct Choice(int Actor, int Other)
    {
        internal const int None = -1;
    }

    internal sealed class Actor : IDisposable
    {
        private readonly Interleaving _schedule;
        private readonly Signal _baton = new();
        private readonly Thread _thread;
        private Action? _action;
        private bool _begun, _done;
        private Exception? _error;

        internal Actor(Interleaving schedule, int number)
        {
            _schedule = schedule;
            Number = number;
            _thread = new Thread(Loop) { IsBackground = true };
            _thread.Start();
        }

        internal int Number { get; }

        private Actor Other => _schedule._actors[1 - Number];

        internal void Prepare(Action action)
        {
            _action = action;
            _begun = _schedule.UsesSchedulePoints; // what comes before their first is not part of the choice that began
            _done = false;
            _error = null;
        }

        internal void TakeBaton() => _baton.Set();

        internal void Pause()
        {
            if (!_begun)
            {
                _begun = true; // it has been chosen already: that is why it got as far as this
                return;
            }
            Actor next = _schedule.Choose(this, Other._done ? this : null);
            if (next != this) GiveWay();
        }

        // The other one has what this one waits for, or a thread that takes no turns has it: no choice.
        private void Wait()
        {
            if (!Other._done) GiveWay();
        }

        private void GiveWay()
        {
            Other.TakeBaton();
            _baton.Wait();
        }

        internal void ThrowError()
        {
            if (_error != null) throw new InvalidOperationException(_error.Message, _error);
        }

        public void Dispose()
        {
            _action = null;
            TakeBaton();
            _thread.Join();
            _baton.Dispose();
        }

        private void Loop()
        {
            t_actor = this;
            Action<bool> reached = waits =>
            {
                if (waits) Wait();
                else Pause();
            };
            while (true)
            {
                _baton.Wait();
                if (_action == null) return;
                try
                {
                    if (_schedule.UsesSchedulePoints) SetReached(reached);
                    _action();
                }
                catch (Exception error)
                {
                    _error = error;
                }
                SetReached(null);
                _done = true;
                if (Other._done) _schedule._bothDone.Set();
                else _schedule.Choose(this, Other).TakeBaton();
            }
        }

        private static void SetReached(Action<bool>? reached)
        {
#if DEBUG
            SchedulePoint.t_reached = reached;
#endif
        }
    }
}
