using System.Globalization;
using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that limits and figures are what Linux says in its files, and unknown where it says nothing or nonsense.
/// </summary>
public sealed class LinuxFiguresTests : IDisposable
{
    private readonly TemporaryDirectory _root = new();

    private static ulong Page => VirtualMemory.PageBytes;

    public LinuxFiguresTests() => SystemNeeds.Linux("/proc and /sys");

    public void Dispose() => _root.Dispose();

    [Fact]
    public void This_machine_says_what_it_has()
    {
        Assert.InRange(new LinuxSystem().ReadLoad().TotalBytes, 1UL << 20, 1UL << 50);
        Assert.InRange(Read("", SystemFigure.AddressSpaceBytes) ?? 0,
            Read("", SystemFigure.AnonymousResidentBytes) ?? 0, 1UL << 48);
        Assert.InRange(Read("", SystemFigure.AnonymousResidentBytes) ?? 0, 1UL << 20, 1UL << 50);
        Assert.InRange(Read("", SystemFigure.MappingLimit) ?? 0, 1000UL, ulong.MaxValue);
    }

    [Fact]
    public void A_memory_file_is_shared_memory_as_soon_as_it_is_touched()
    {
        ulong Shared() => Read("", SystemFigure.SharedResidentBytes) ?? 0;
        nuint bytes = 64 << 20;
        nuint address = AddressSpace.Reserve(bytes);
        Assert.True(VirtualMemory.TryCreateFile(bytes, out nint file));
        Assert.True(VirtualMemory.TryMapFile(file, 0, address, bytes));
        ulong before = Shared();
        Fill(address, bytes);
        // The system counts by the batch, and other tests have memory files of their own.
        Assert.InRange(Shared(), before + bytes / 2, ulong.MaxValue);
        VirtualMemory.Release(address, bytes);
        VirtualMemory.CloseFile(file);
    }

    [Fact]
    public void The_files_of_the_system_are_read()
    {
        _root.Write("proc/meminfo",
            "MemTotal:       24576000 kB\nMemFree:          100 kB\nMemAvailable:   21034272 kB\n");
        _root.Write("proc/self/statm", "1000 345 67 8 0 900 0\n");
        _root.Write("proc/self/status", "Name:\tx\nRssAnon:\t    1112 kB\nRssShmem:\t      12 kB\n");
        _root.Write("proc/sys/vm/max_map_count", "262144\n");
        Assert.Equal(24576000UL * 1024, TotalBytes());
        Assert.Equal(1000 * Page, Read(SystemFigure.AddressSpaceBytes));
        Assert.Equal((345 - 67) * Page, Read(SystemFigure.AnonymousResidentBytes));
        Assert.Equal(12UL * 1024, Read(SystemFigure.SharedResidentBytes));
        Assert.Equal(262144UL, Read(SystemFigure.MappingLimit));
    }

    [Theory]
    [InlineData("")]
    [InlineData("none")]
    [InlineData("12")]
    [InlineData("MemAvailable:")]
    [InlineData("MemAvailable: -5 kB")]
    public void Nonsense_is_unknown(string text)
    {
        foreach (string file in (string[])["proc/meminfo", "proc/self/statm", "proc/self/status", "proc/self/cgroup"])
            _root.Write(file, text);
        AssertUnknown();
    }

    [Fact]
    public void A_system_that_hides_its_files_is_unknown_and_throws_nothing()
    {
        AssertUnknown();
        Assert.InRange(Read(SystemFigure.PeakResidentBytes) ?? 0, // no file says it
            Read("", SystemFigure.AnonymousResidentBytes) ?? 0, ulong.MaxValue);
        Assert.Null(Read(SystemFigure.LockedBytes));
        Assert.Null(Read(SystemFigure.MappingLimit));
        Assert.Null(Read(SystemFigure.AddressSpaceBytes));
    }

    [Theory]
    [InlineData("/app/web", "memory.max", 400)] // the group's own
    [InlineData("/app", "memory.max", 500)] // only the one above
    [InlineData("/app/web/deep", "memory.max", 400)]
    [InlineData("/other", "memory.max", 900)] // not to be seen here: the root's
    [InlineData("/", "memory.max", 900)]
    [InlineData("/app/none", "memory.max", 500)] // says "max" itself
    public void Of_version_2_the_least_limit_of_all_groups_above_counts(string path, string file, int megabytes)
    {
        _root.Write("proc/self/cgroup", $"0::{path}\n");
        WriteLimits("sys/fs/cgroup", file, 900, 500, 400);
        _root.Write("sys/fs/cgroup/app/none/memory.max", "max\n");
        Assert.Equal((ulong)megabytes << 20, TotalBytes());
    }

    [Theory]
    [InlineData("4:memory:/app/web\n", 400)]
    [InlineData("5:cpu,memory:/app\n", 500)]
    [InlineData("12:pids:/app/web\n4:memory:/docker/0123\n0::/x\n", 900)]
    public void Of_version_1_the_least_limit_of_the_memory_groups_counts(string groups, int megabytes)
    {
        _root.Write("proc/self/cgroup", groups);
        WriteLimits("sys/fs/cgroup/memory", "memory.limit_in_bytes", 900, 500, 400);
        Assert.Equal((ulong)megabytes << 20, TotalBytes());
    }

    [Fact]
    public void No_limit_is_none_in_both_versions()
    {
        _root.Write("proc/self/cgroup", "4:memory:/app\n0::/app\n");
        _root.Write("sys/fs/cgroup/memory/app/memory.limit_in_bytes", "9223372036854771712\n");
        _root.Write("sys/fs/cgroup/app/memory.max", "max\n");
        Assert.Equal(0UL, TotalBytes());
    }

    [Theory]
    [InlineData((int)SystemFigure.AddressSpaceLimitBytes, "Max address space")]
    [InlineData((int)SystemFigure.DataLimitBytes, "Max data size")]
    [InlineData((int)SystemFigure.LockLimitBytes, "Max locked memory")]
    public void The_limits_of_the_process_are_the_systems(int figure, string name)
    {
        string line =
            File.ReadLines("/proc/self/limits").Single(line => line.StartsWith(name, StringComparison.Ordinal));
        string soft = line[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
        ulong? expected = soft == "unlimited" ? null : ulong.Parse(soft, CultureInfo.InvariantCulture);
        Assert.Equal(expected, Read((SystemFigure)figure));
    }

    [Fact]
    public void A_refused_figure_is_unknown()
    {
        using (new InjectedFaults(OsCall.ReadFigure))
            foreach (SystemFigure figure in Enum.GetValues<SystemFigure>()) Assert.Null(Machine.Read(figure));
        Assert.NotNull(Machine.Read(SystemFigure.MappingLimit));
    }

    [Fact]
    public void Figures_are_read_without_managed_memory()
    {
        LinuxSystem system = new();
        long Allocated()
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            foreach (SystemFigure figure in s_figures) system.Read(figure);
            system.ReadLoad();
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
        Allocated(); // what is compiled and loaded at the first call
        Assert.Equal(0, Allocated());
    }

    private static readonly SystemFigure[] s_figures = Enum.GetValues<SystemFigure>();

    private static unsafe void Fill(nuint address, nuint bytes)
    {
        for (nuint at = 0; at < bytes; at += VirtualMemory.PageBytes) *(byte*)(address + at) = 1;
    }

    private void AssertUnknown()
    {
        Assert.Null(Read(SystemFigure.AnonymousResidentBytes));
        Assert.Null(Read(SystemFigure.SharedResidentBytes));
        Assert.Equal(0UL, TotalBytes());
    }

    private void WriteLimits(string folder, string file, int root, int app, int web)
    {
        _root.Write($"{folder}/{file}", $"{(long)root << 20}\n");
        _root.Write($"{folder}/app/{file}", $"{(long)app << 20}\n");
        _root.Write($"{folder}/app/web/{file}", $"{(long)web << 20}\n");
    }

    private ulong? Read(SystemFigure figure) => Read(_root.Path, figure);

    private ulong TotalBytes() => new LinuxSystem(_root.Path).ReadLoad().TotalBytes;

    private static ulong? Read(string root, SystemFigure figure) => new LinuxSystem(root).Read(figure);
}
