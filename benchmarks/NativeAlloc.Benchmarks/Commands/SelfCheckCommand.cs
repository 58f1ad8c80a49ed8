using System.CommandLine;
using System.Diagnostics;
using NativeAlloc.Benchmarks.Arms;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Shapes;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Runs every made-up workload on every available allocator with few blocks, and says what is wrong: an operation count
/// that is not the workload's, a block that is left, or contents that are not what was written. A process per
/// allocator; it takes some seconds. Not about time: the figures of so small a run mean nothing.
/// </summary>
internal static class SelfCheckCommand
{
    public const string Verb = "self-check";

    private const int Threads = 2;

    public static Command Create()
    {
        Argument<string?> allocator = new("allocator")
        {
            Description = "The allocator that this process checks; else each has a process of its own.",
            DefaultValueFactory = _ => null,
        };
        Command command = new(Verb, "Runs all workloads with few blocks on all allocators, and checks what they do.")
        {
            allocator,
        };
        command.SetAction(result => result.GetValue(allocator) is { } name ? CheckHere(name) : CheckAll());
        return command;
    }

    private static int CheckAll()
    {
        int failed = 0;
        foreach (ManagedArm arm in ArmRegistry.Managed.Where(arm => !arm.OnRequest))
        {
            if (arm.Missing is { } reason)
            {
                Console.WriteLine($"{arm.Name}: skipped, {reason}");
                continue;
            }

            ProcessStartInfo start = ThisProgram.CreateChild(Verb);
            start.ArgumentList.Add(arm.Name);
            ManagedArm.SetEnvironment(start, Threads);
            using Process child = Process.Start(start)!;
            child.WaitForExit();
            if (child.ExitCode != 0)
            {
                Console.WriteLine($"{arm.Name}: FAILED with exit code {child.ExitCode}");
                failed++;
            }
        }

        Console.WriteLine(failed == 0 ? "self-check passed" : $"self-check FAILED for {failed} allocators");
        return failed == 0 ? 0 : 1;
    }

    private static int CheckHere(string name)
    {
        ManagedArm arm = ArmRegistry.Managed.FirstOrDefault(arm => arm.Name == name)
            ?? throw new UsageException($"unknown allocator '{name}'");
        List<string> problems = [];
        int count = 0;
        foreach (IWorkload small in WorkloadRegistry.All.Where(arm.Supports).SelectMany(Small))
        {
            count++;
            try
            {
                Check(arm, small, problems);
            }
            catch (Exception e)
            {
                problems.Add($"{small.Name}: {e.GetType().Name}: {e.Message}");
            }
        }

        foreach (string problem in problems)
            Console.WriteLine($"{name}: {problem}");
        Console.WriteLine($"{name}: {count} workloads, {problems.Count} problems");
        return problems.Count == 0 ? 0 : 1;
    }

    /// <summary>Traces are left out: the comparison runs them without being asked to.</summary>
    private static IEnumerable<IWorkload> Small(IWorkload workload) => workload switch
    {
        HeapWorkload heap => [heap.Small],
        ShapeWorkload shape => [shape.Small],
        PagesWorkload => [WorkloadRegistry.Find("pages:pool=16:maxorder=2:allocations=64")!],
        VmallocWorkload => VmallocWorkload.Small,
        _ => [],
    };

    private static void Check(ManagedArm arm, IWorkload workload, List<string> problems)
    {
        long live = LiveBlocks();
        if (workload is HeapWorkload heap)
        {
            using ThreadTeam team = new(heap.TeamSize(Threads));
            (long operations, long expected, long left) = arm.Count(heap, Threads, team);
            if (operations != expected)
                problems.Add($"{workload.Name}: {operations} operations instead of {expected}");
            if (left != 0)
                problems.Add($"{workload.Name}: {left} blocks were not freed");
        }

        using (IPreparedWorkload prepared = workload.Prepare(null, Threads))
        {
            if (arm.RunOnce(prepared) <= 0)
                problems.Add($"{workload.Name}: no time was measured");
        }

        if (LiveBlocks() is long now && now != live)
            problems.Add($"{workload.Name}: the library has {now - live} more blocks than before");
    }

    /// <summary>Blocks that the library's users hold; it stays 0 in the processes of the other allocators.</summary>
    private static long LiveBlocks() => NativeAllocator.GetStatistics().LiveBlocks;
}
