namespace NativeAlloc.Benchmarks.Scaling;

/// <summary>What a simulation found.</summary>
/// <param name="Efficiency">Time that calls and work would take without any sharing, as a part of what they took.
/// </param>
/// <param name="IdleBytes">Free objects in caches at the end of the second pass.</param>
internal readonly record struct SimulationResult(double Efficiency, double IdleBytes);

/// <summary>
/// Runs the calls of a recording on many cores in simulated time: core by core in the order of time, each until it is a
/// line's transfer ahead of the next. Groups of cores run a recording each, with blocks of their own. A free waits
/// until its block was allocated; that waiting counts as nothing, as the program has it with any allocator. The first
/// pass fills the caches, the second is the result.
/// </summary>
internal sealed class Simulation
{
    // A call that uses no shared line, and what the program does between two calls, more or less.
    private const double CallNs = 5, WorkNs = 20;

    private const int Passes = 2;

    private readonly Recording _recording;
    private readonly AllocatorStructure _structure;
    private readonly int _cores;
    private readonly Random _random = new(1);
    private readonly int[] _position;
    private readonly double[] _time, _allocatedAt, _waited, _began;
    private readonly int[] _class;
    private readonly Dictionary<int, int> _waiting = [];
    private readonly PriorityQueue<int, double> _ready = new();
    private double _idealNs;

    private Simulation(Recording recording, AllocatorStructure structure, int cores)
    {
        _recording = recording;
        _structure = structure;
        _cores = cores;
        _position = new int[cores];
        _time = new double[cores];
        _waited = new double[cores];
        _began = new double[cores];
        _allocatedAt = new double[BlocksOf(recording, cores)];
        _class = new int[_allocatedAt.Length];
    }

    /// <summary>Blocks of all groups together.</summary>
    internal static int BlocksOf(Recording recording, int cores) =>
        recording.Blocks * (cores / recording.Streams.Length);

    internal static SimulationResult Run(Recording recording, AllocatorStructure structure, int cores)
    {
        Simulation simulation = new(recording, structure, cores);
        double efficiency = 0;
        for (int pass = 0; pass < Passes; pass++)
            efficiency = simulation.Pass();
        return new SimulationResult(efficiency, structure.IdleBytes);
    }

    private double Pass()
    {
        double begin = _time.Max();
        _idealNs = 0;
        Array.Fill(_allocatedAt, double.NaN);
        for (int core = 0; core < _cores; core++)
        {
            _position[core] = 0;
            _waited[core] = 0;
            _time[core] = _began[core] = begin + (_random.NextDouble() * WorkNs * 100); // not all in step
            _ready.Enqueue(core, _time[core]);
        }

        while (_ready.TryDequeue(out int core, out _))
            RunAhead(core);
        double took = 0;
        for (int core = 0; core < _cores; core++)
            took += _time[core] - _began[core] - _waited[core];
        return took == 0 ? 1 : _idealNs / took;
    }

    private void RunAhead(int core)
    {
        RecordedCall[] calls = _recording.Streams[core % _recording.Streams.Length];
        double until = _ready.TryPeek(out _, out double next) ? next + SharedLine.TransferNs : double.MaxValue;
        int firstBlock = core / _recording.Streams.Length * _recording.Blocks;
        while (_position[core] < calls.Length)
        {
            if (_time[core] > until)
            {
                _ready.Enqueue(core, _time[core]);
                return;
            }

            RecordedCall call = calls[_position[core]];
            int block = firstBlock + call.Block;
            if (call.IsFree && double.IsNaN(_allocatedAt[block]))
            {
                _waiting[block] = core; // until it is there
                return;
            }

            Do(core, call, block);
            _position[core]++;
        }
    }

    private void Do(int core, RecordedCall call, int block)
    {
        double ideal = CallNs + (WorkNs * (0.5 + _random.NextDouble()));
        _idealNs += ideal;
        if (call.IsFree)
        {
            double wait = Math.Max(0, _allocatedAt[block] - _time[core]);
            _waited[core] += wait;
            _time[core] = _structure.Free(core, block, _class[block], _time[core] + wait) + ideal;
            return;
        }

        _class[block] = AllocatorStructure.ClassOf(call.Bytes);
        _time[core] = _structure.Alloc(core, block, _class[block], _time[core]) + ideal;
        _allocatedAt[block] = _time[core];
        if (_waiting.Remove(block, out int waiter))
            _ready.Enqueue(waiter, Math.Max(_time[waiter], _time[core]));
    }
}
