namespace NativeAlloc.Os;

/// <content>Limits and figures of the machine, the job and the process; nodes and processors.</content>
internal sealed unsafe partial class WindowsSystem
{
    // winnt.h
    private const int JobExtendedLimits = 9;
    private const uint LimitsProcessMemory = 0x100, LimitsJobMemory = 0x200;

    // Windows has no limit for the number of mappings; each costs it some hundred bytes.
    private const ulong MostMappings = 1 << 20;

    private const int ProcessorsPerGroup = 64, LocalDistance = 10, RemoteDistance = 20;

    internal override ulong? Read(SystemFigure figure)
    {
        switch (figure)
        {
            case SystemFigure.MappingLimit: return MostMappings;
            case SystemFigure.AnonymousResidentBytes: return ReadCounters() is { } now ? PrivateResidentOf(now) : null;
            default: return null;
        }
    }

    // What is resident and private is neither more than what is resident nor more than what is private; the system does
    // not count it exactly.
    private static ulong PrivateResidentOf(in WindowsCalls.ProcessCounters counters) =>
        counters.Private == 0 ? counters.WorkingSet : Math.Min(counters.WorkingSet, counters.Private);

    private static WindowsCalls.ProcessCounters? ReadCounters()
    {
        uint bytes = (uint)sizeof(WindowsCalls.ProcessCounters);
        WindowsCalls.ProcessCounters counters = new() { Length = bytes };
        return WindowsCalls.GetProcessMemory(WindowsCalls.ThisProcess, &counters, bytes) != 0 ? counters : null;
    }

    // What is purged cannot be read here, so nobody asks.
    internal override bool TryReadResident(nuint address, nuint bytes, byte* resident) => false;

    // The machine's memory; what it can promise to all processes (memory and page file); what the job may have.
    internal override MemoryLoad ReadLoad()
    {
        WindowsCalls.MachineMemory machine = new() { Length = (uint)sizeof(WindowsCalls.MachineMemory) };
        if (WindowsCalls.GlobalMemoryStatus(&machine) == 0 || machine.TotalPhysical == 0) return default;
        MemoryLoad load = default;
        load = load.With(machine.TotalPhysical,
            machine.TotalPhysical - Math.Min(machine.TotalPhysical, machine.AvailablePhysical));
        if (machine.CommitLimit != 0)
            load = load.With(machine.CommitLimit,
                machine.CommitLimit - Math.Min(machine.CommitLimit, machine.CommitAvailable));
        return WithJob(load);
    }

    private static MemoryLoad WithJob(MemoryLoad load)
    {
        WindowsCalls.JobLimits job = default;
        bool isKnown =
            WindowsCalls.QueryJob(0, JobExtendedLimits, &job, (uint)sizeof(WindowsCalls.JobLimits), null) != 0;
        if (!isKnown || ReadCounters() is not { } counters) return load;
        // Of the other processes of the job nothing is known here.
        if ((job.Flags & LimitsProcessMemory) != 0 && job.ProcessMemory != 0)
            load = load.With(job.ProcessMemory, counters.Private);
        if ((job.Flags & LimitsJobMemory) != 0 && job.JobMemory != 0)
            load = load.With(job.JobMemory, counters.Private);
        return load;
    }

    internal override bool TryReadNodes(out int[] numbers)
    {
        uint highest;
        numbers = [0];
        if (WindowsCalls.GetHighestNode(&highest) == 0) return false;
        if (highest == 0) return true;
        List<int> withMemory = [];
        for (int node = 0; node <= highest; node++)
        {
            ulong bytes;
            if (WindowsCalls.GetNodeMemory((ushort)node, &bytes) != 0 && bytes != 0) withMemory.Add(node);
        }
        numbers = [.. withMemory];
        return numbers.Length != 0;
    }

    internal override bool TryReadNodeDetails(int[] numbers, out int[][] processors, out int[][] distances)
    {
        processors = [.. numbers.Select(ReadProcessors)];
        // The system does not say how far nodes are from each other.
        distances = [.. numbers.Select(node =>
            numbers.Select(other => node == other ? LocalDistance : RemoteDistance).ToArray())];
        return Array.Exists(processors, list => list.Length != 0);
    }

    private static int[] ReadProcessors(int node)
    {
        WindowsCalls.GroupAffinity affinity;
        if (WindowsCalls.GetNodeProcessors((ushort)node, &affinity) == 0) return [];
        nuint mask = affinity.Mask;
        int first = affinity.Group * ProcessorsPerGroup;
        return [.. Enumerable.Range(0, ProcessorsPerGroup)
            .Where(bit => (mask >> bit & 1) != 0).Select(bit => first + bit)];
    }

    internal override int CurrentProcessor()
    {
        WindowsCalls.ProcessorNumber number;
        WindowsCalls.GetCurrentProcessor(&number);
        return number.Group * ProcessorsPerGroup + number.Number;
    }
}
