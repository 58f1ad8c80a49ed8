using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows how much memory the machine and the cgroups around the process are said to have, from folders that look like a
/// system's, and when that is scarce.
/// </summary>
public sealed class MemoryLoadTests : IDisposable
{
    private const ulong MiB = 1 << 20, GiB = 1024 * MiB;

    private readonly TemporaryDirectory _root = new();

    public MemoryLoadTests() => SystemNeeds.Linux("/proc and /sys");

    public void Dispose() => _root.Dispose();

    [Theory]
    [InlineData(16_777_216, 8_000_000, false)]
    [InlineData(16_777_216, 1_700_000, false)] // a little more than a tenth
    [InlineData(16_777_216, 1_600_000, true)]
    [InlineData(1_073_741_824, 8_388_609, false)] // a TiB: 8 GiB and more are enough
    [InlineData(1_073_741_824, 8_388_608, true)]
    public void Without_cgroups_the_machine_counts(long totalKilo, long availableKilo, bool isScarce)
    {
        WriteMachine(totalKilo, availableKilo);
        Assert.Equal(new MemoryLoad((ulong)totalKilo * 1024, isScarce), Read());
    }

    [Theory]
    [InlineData("/", "512", "100", "50", false)]
    [InlineData("/", "512", "480", "50", false)] // of what it uses, files can go
    [InlineData("/", "512", "480", "10", true)]
    [InlineData("/a/b", "512", "480", "10", true)] // a group further out, and its limit
    public void A_second_version_group_counts_where_it_has_less(
        string path, string limit, string used, string files, bool isScarce)
    {
        WriteMachine(16_777_216, 8_000_000);
        Write("proc/self/cgroup", $"0::{path}\n");
        WriteSecond("", $"{limit}", used, files);
        if (path != "/") WriteSecond("a", "700", "300", "0");
        if (path != "/") Write("sys/fs/cgroup/a/b/memory.max", "max\n");
        Assert.Equal(new MemoryLoad(512 * MiB, isScarce), Read());
    }

    [Fact]
    public void The_smallest_limit_of_all_around_is_the_total_and_any_that_is_full_makes_it_scarce()
    {
        WriteMachine(16_777_216, 8_000_000);
        Write("proc/self/cgroup", "0::/a/b\n");
        WriteSecond("a/b", "300", "10", "0");
        WriteSecond("a", "400", "390", "0");
        Assert.Equal(new MemoryLoad(300 * MiB, IsScarce: true), Read());
    }

    [Theory]
    [InlineData("/docker/1234", "docker/1234")]
    [InlineData("/docker/1234", "")] // in a container whose files begin with its own group
    public void A_first_version_group_counts_too(string path, string folder)
    {
        WriteMachine(16_777_216, 8_000_000);
        Write("proc/self/cgroup", $"9:name=systemd:/\n4:cpu,memory:{path}\n0::/\n");
        string group = Path.Combine("sys/fs/cgroup/memory", folder);
        Write(Path.Combine(group, "memory.limit_in_bytes"), $"{512 * MiB}\n");
        Write(Path.Combine(group, "memory.usage_in_bytes"), $"{500 * MiB}\n");
        Write(Path.Combine(group, "memory.stat"), $"inactive_file {400 * MiB}\ntotal_inactive_file {20 * MiB}\n");
        Assert.Equal(new MemoryLoad(512 * MiB, IsScarce: true), Read());
    }

    [Fact]
    public void A_first_version_group_without_a_limit_says_so_by_a_large_number()
    {
        WriteMachine(16_777_216, 8_000_000);
        Write("proc/self/cgroup", "4:memory:/\n");
        Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        Assert.Equal(new MemoryLoad(16 * GiB, IsScarce: false), Read());
    }

    [Theory]
    [InlineData("")]
    [InlineData("nonsense")]
    [InlineData("MemTotal:")]
    [InlineData("MemTotal:  kB\nMemAvailable: x kB\n")]
    public void Where_the_system_says_nothing_nothing_is_known(string meminfo)
    {
        Assert.Equal(default, Read());
        Write("proc/meminfo", meminfo);
        Write("proc/self/cgroup", ":\n::\n0:\nmemory\n0::/../..\n" + new string('x', 9000));
        Assert.Equal(default, Read());
    }

    [Fact]
    public void This_machine_is_known()
    {
        MemoryLoad load = Machine.ReadLoad();
        Assert.Equal(Machine.MemoryBytes, load.TotalBytes);
        // The managed heap's share of a container is three quarters.
        Assert.True(load.TotalBytes <= (ulong)GC.GetGCMemoryInfo().TotalAvailableMemoryBytes * 4 / 3 + MiB);
    }

    [Fact]
    public void Where_the_system_says_nothing_any_more_it_is_what_it_said_before() =>
        ChildProcess.RunHost([("DOTNET_GCHeapHardLimit", "0x10000000")], LastLoad.Name).ShouldSucceed();

    private MemoryLoad Read() => new LinuxSystem(_root.Path).ReadLoad();

    private void WriteMachine(long totalKilo, long availableKilo) =>
        Write("proc/meminfo", $"MemTotal:     {totalKilo} kB\nMemFree:      1 kB\nMemAvailable: {availableKilo} kB\n");

    private void WriteSecond(string folder, string limitMiB, string usedMiB, string filesMiB)
    {
        string group = Path.Combine("sys/fs/cgroup", folder);
        Write(Path.Combine(group, "memory.max"), $"{ulong.Parse(limitMiB) * MiB}\n");
        Write(Path.Combine(group, "memory.current"), $"{ulong.Parse(usedMiB) * MiB}\n");
        string files = $"anon 1\ninactive_file {ulong.Parse(filesMiB) * MiB}\nactive_file 3\n";
        Write(Path.Combine(group, "memory.stat"), files);
    }

    private void Write(string file, string text)
    {
        string path = Path.Combine(_root.Path, file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }
}
