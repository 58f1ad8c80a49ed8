using NativeAlloc.Threads;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Runs code that recalls or claims beside an owner that is modelled step by step, in every order of their steps. The
/// stores of the owner may wait in a <b>store buffer</b>: its own loads see them, other threads see them when they
/// drain. Stores to one place drain in their order, and stores to several places in any order, as a weak processor has
/// it. A barrier on all processors drains them all. The code under test runs for real; it calls <see cref="Steps"/>
/// before its steps and for its barriers.
/// </summary>
/// <remarks>
/// An order is a sequence of choices. After each run the last choice that has an alternative left is changed, until
/// none has. Stores drain only where the code under test makes its next step, as no other thread looks at memory in
/// between.
/// </remarks>
internal sealed unsafe class WeakOrders
{
    [ThreadStatic]
    internal static WeakOrders? t_current;

    private readonly List<(int Chosen, int Options)> _choices = [];
    private readonly List<(nint Address, long Value, int Bytes)> _waiting = []; // the stores, the oldest first
    private readonly int _leftOut;
    private readonly bool _isWeak;
    private int _next, _barriers;

    /// <param name="isWeak">Stores wait; without, each can be seen at once.</param>
    /// <param name="leftOut">A barrier that drains nothing, counted from 1; 0 for none.</param>
    internal WeakOrders(bool isWeak, int leftOut = 0) => (_isWeak, _leftOut) = (isWeak, leftOut);

    /// <summary>Makes the owner's next step; false where it has none left.</summary>
    internal Func<bool>? Owner { private get; set; }

    /// <summary>Whether the owner may go on at the first barrier, which is that of the claim.</summary>
    internal bool PausesAtClaim { get; init; } = true;

    /// <summary>Calls an action once for each order of steps.</summary>
    internal int RunAll(Action run)
    {
        _choices.Clear();
        int runs = 0;
        t_current = this;
        try
        {
            do
            {
                _next = _barriers = 0;
                _waiting.Clear();
                run();
                runs++;
            }
            while (MoveToNextOrder());
        }
        finally
        {
            t_current = null;
        }
        return runs;
    }

    /// <summary>The choices of this run, to name it by.</summary>
    internal string Order => string.Join(' ', _choices.Select(choice => choice.Chosen));

    /// <summary>Lets the owner make all the steps that it has left, and drains its stores.</summary>
    internal void Finish()
    {
        while (Owner!()) { }
        DrainAll();
    }

    internal void Store(nint address, long value, int bytes = sizeof(long))
    {
        if (_isWeak) _waiting.Add((address, value, bytes));
        else Write(address, value, bytes);
    }

    internal long Load(nint address, int bytes = sizeof(long))
    {
        for (int i = _waiting.Count; i-- > 0;)
            if (_waiting[i].Address == address) return _waiting[i].Value;
        return bytes == sizeof(int) ? Volatile.Read(ref *(int*)address) : Volatile.Read(ref *(long*)address);
    }

    internal void DrainAll()
    {
        foreach ((nint address, long value, int bytes) in _waiting) Write(address, value, bytes);
        _waiting.Clear();
    }

    private static void Write(nint address, long value, int bytes)
    {
        if (bytes == sizeof(int)) Volatile.Write(ref *(int*)address, (int)value);
        else Volatile.Write(ref *(long*)address, value);
    }

    /// <summary>The owner makes as many steps as are chosen, then as many of its stores drain.</summary>
    internal void Pause()
    {
        while (Choose(2) == 1 && Owner!()) { }
        foreach (nint address in _waiting.Select(store => store.Address).Distinct().ToArray())
        {
            int drained = Choose(_waiting.Count(store => store.Address == address) + 1);
            for (; drained > 0; drained--) DrainOldest(address);
        }
    }

    private void DrainOldest(nint address)
    {
        int at = _waiting.FindIndex(store => store.Address == address);
        Write(address, _waiting[at].Value, _waiting[at].Bytes);
        _waiting.RemoveAt(at);
    }

    private int Choose(int options)
    {
        if (options == 1) return 0;
        if (_next == _choices.Count) _choices.Add((0, options));
        return _choices[_next++].Chosen;
    }

    private bool MoveToNextOrder()
    {
        _choices.RemoveRange(_next, _choices.Count - _next);
        while (_choices.Count != 0 && _choices[^1].Chosen == _choices[^1].Options - 1)
            _choices.RemoveAt(_choices.Count - 1);
        if (_choices.Count == 0) return false;
        _choices[^1] = (_choices[^1].Chosen + 1, _choices[^1].Options);
        return true;
    }

    /// <summary>The steps of the code under test.</summary>
    internal readonly struct Steps : IClaimSteps
    {
        public static void BeforeStep() => t_current!.Pause();

        public static void PassBarrier()
        {
            WeakOrders orders = t_current!;
            bool isClaim = ++orders._barriers == 1;
            if (!isClaim || orders.PausesAtClaim) orders.Pause();
            if (orders._barriers != orders._leftOut) orders.DrainAll();
        }
    }
}
