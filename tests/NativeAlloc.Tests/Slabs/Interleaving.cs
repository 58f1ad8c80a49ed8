using NativeAlloc.Slabs;

namespace NativeAlloc.Tests.Slabs;

/// <summary>
/// Two threads that take turns step by step, in every order there is. The code under test calls
/// <see cref="BeforeStep"/> before each of its atomic steps; there the thread that holds the baton keeps it or hands it
/// over, as the schedule says. A schedule is a sequence of choices; after each run the last choice that has an
/// alternative left is changed, until none has.
/// </summary>
internal sealed class Interleaving : Depot.IPause, IDisposable
{
    [ThreadStatic]
    internal static Actor? t_actor;

    private readonly Actor[] _actors;
    private readonly SemaphoreSlim _bothDone = new(0);

    // The choices to make, and where they end the first of those who can go on.
    private readonly List<Choice> _choices = [];
    private int _next;

    internal Interleaving() => _actors = [new Actor(this, 0), new Actor(this, 1)];

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
    /// Runs two actions in one order: thread by thread as the steps say, and after their end the first thread that can
    /// go on.
    /// </summary>
    internal void RunOnce(ReadOnlySpan<int> steps, Func<(Action First, Action Second)> setUp, Action check)
    {
        _choices.Clear();
        foreach (int actor in steps) _choices.Add(new Choice(actor, MayChange: false));
        Run(setUp, check);
    }

    private void Run(Func<(Action First, Action Second)> setUp, Action check)
    {
        Steps.Clear();
        _next = 0;
        (Action first, Action second) = setUp();
        _actors[0].Prepare(first);
        _actors[1].Prepare(second);
        Choose(null).TakeBaton();
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
        while (_choices.Count != 0 && !(_choices[^1].MayChange && _choices[^1].Actor == 0))
            _choices.RemoveAt(_choices.Count - 1);
        if (_choices.Count == 0) return false;
        _choices[^1] = new Choice(1, MayChange: false);
        return true;
    }

    // Who makes the next step; a choice only where both can.
    private Actor Choose(Actor? only)
    {
        int actor = only?.Number ?? 0;
        if (_next == _choices.Count) _choices.Add(new Choice(actor, MayChange: only == null));
        else if (only == null) actor = _choices[_next].Actor;
        _next++;
        Steps.Add(actor);
        return _actors[actor];
    }

    public void Dispose()
    {
        foreach (Actor actor in _actors) actor.Dispose();
        _bothDone.Dispose();
    }

    private readonly record struct Choice(int Actor, bool MayChange);

    internal sealed class Actor : IDisposable
    {
        private readonly Interleaving _schedule;
        private readonly SemaphoreSlim _baton = new(0);
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
            _begun = _done = false;
            _error = null;
        }

        internal void TakeBaton() => _baton.Release();

        internal void Pause()
        {
            if (!_begun)
            {
                _begun = true; // it has been chosen already: that is why it got as far as this
                return;
            }
            Actor next = _schedule.Choose(Other._done ? this : null);
            if (next == this) return;
            next.TakeBaton();
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
            while (true)
            {
                _baton.Wait();
                if (_action == null) return;
                try
                {
                    _action();
                }
                catch (Exception error)
                {
                    _error = error;
                }
                _done = true;
                if (Other._done) _schedule._bothDone.Release();
                else _schedule.Choose(Other).TakeBaton();
            }
        }
    }
}
