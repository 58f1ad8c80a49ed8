using System.CommandLine;
using System.Globalization;
using NativeAlloc.Benchmarks.Heaps;
using NativeAlloc.Benchmarks.Scaling;
using NativeAlloc.Benchmarks.Workloads;
using Spectre.Console;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// Says what more cores would see than this machine has: records the calls of the workloads with eight threads, and
/// simulates them on 16, 64 and 256 cores with the structures of several allocators (docs/design/scale.md).
/// </summary>
internal static class ScaleCommand
{
    /// <summary>A pass of each is some ten thousands of calls.</summary>
    private static readonly string[] s_workloads =
    [
        "larson:blocks=500:rounds=8000:generations=2",
        "xmalloc:batch=512:batches=48:queue=8",
        "async:tasks=400:rounds=4",
        "mstress:quota=100:iterations=2:slots=100",
        "rptest:loops=320:slots=200",
        "alloc-test:slots=8192:steps=32000",
        "glibc-simple:blocks=4800",
        "glibc-thread:slots=256:rounds=24000",
        "mleak:rounds=4:swaps=8000:slots=200",
        "growth:vectors=8:objects=2000:steps=24000",
    ];

    private static readonly int[] s_cores = [16, 64, 256];

    private static readonly (string Name, Func<Recording, int, AllocatorStructure> Make)[] s_structures =
    [
        ("this library's", (_, cores) => new MagazineStructure(cores, 0, cores)),
        ("with depots by 8 cores", (_, cores) => new MagazineStructure(cores, 8, cores)),
        ("with magazines for 8 threads", (_, cores) => new MagazineStructure(cores, 0, 8)),
        ("mimalloc's", (recording, cores) => new PageListStructure(cores, Simulation.BlocksOf(recording, cores))),
        ("tcmalloc's", (_, cores) => new CentralListStructure(cores)),
    ];

    public static Command Create()
    {
        Option<string?> only = new("--workload") { Description = "Only this one, with any parameters." };
        Command command = new("scale", "Simulates the workloads on more cores than this machine has.") { only };
        command.SetAction(result => Run(result.GetValue(only)));
        return command;
    }

    private static int Run(string? only)
    {
        // A workload on the thread pool wants one of exactly so many threads, which a machine with more cores refuses.
        bool hasPool = ThreadPool.SetMinThreads(1, 1) && ThreadPool.SetMaxThreads(Recording.Threads, Recording.Threads);
        Table table = new Table().Title("Efficiency in percent on 16 / 64 / 256 cores, and idle MiB on 256");
        table.AddColumn("workload");
        foreach ((string name, _) in s_structures)
            table.AddColumn(name);
        foreach (string name in only is null ? s_workloads : [only])
        {
            if (WorkloadRegistry.Find(name) is not HeapWorkload workload)
                throw new UsageException($"'{name}' is no workload of blocks; 'list' shows them");
            if (workload is AsyncWorkload && !hasPool)
            {
                Console.WriteLine($"skipping {name}: the thread pool here has more threads than {Recording.Threads}");
                continue;
            }

            Recording recording = Recording.Of(workload);
            table.AddRow([name.Split(':')[0], .. s_structures.Select(structure => Row(recording, structure.Make))]);
        }

        AnsiConsole.Write(table);
        return 0;
    }

    private static string Row(Recording recording, Func<Recording, int, AllocatorStructure> make)
    {
        SimulationResult[] results =
            [.. s_cores.Select(cores => Simulation.Run(recording, make(recording, cores), cores))];
        string percents = string.Join(" / ",
            results.Select(result => (result.Efficiency * 100).ToString("f0", CultureInfo.InvariantCulture)));
        return string.Create(CultureInfo.InvariantCulture, $"{percents}; {results[^1].IdleBytes / (1 << 20):f1}");
    }
}
