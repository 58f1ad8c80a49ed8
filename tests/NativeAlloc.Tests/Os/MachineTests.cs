using System.Globalization;
using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that what the machine is said to have is what the system says.</summary>
public sealed class MachineTests
{
    [Fact]
    public void The_machine_has_memory() => Assert.InRange(Machine.MemoryBytes, 1UL << 20, 1UL << 50);

    [Fact]
    public void The_lock_limit_is_the_systems()
    {
        // "Max locked memory         8388608              8388608              bytes"
        string line = File.ReadLines("/proc/self/limits")
            .Single(line => line.StartsWith("Max locked memory", StringComparison.Ordinal));
        string soft = line["Max locked memory".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0];
        Assert.Equal(soft == "unlimited" ? null : ulong.Parse(soft, CultureInfo.InvariantCulture),
            Machine.LockLimitBytes);
    }
}
