using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Proves that no allocation makes the meter and the event source, that starting the profiler does, and that nothing
/// is made where there is hardly any memory. That they are there in a process that enabled nothing, the tests of the
/// event source show.
/// </summary>
public sealed class TelemetryTests
{
    [Fact]
    public void The_profiler_makes_it_and_no_allocation_does() =>
        ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "-1")], Telemetry.Name, "profiler").ShouldSucceed();

    [Fact]
    public void Where_there_is_hardly_any_memory_nothing_is_made()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The limit of private memory is one of Linux.");
        ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "1")], Telemetry.Name, "few").ShouldSucceed();
    }

    [Fact]
    public void A_report_is_written_while_another_thread_holds_the_lock_of_all_event_sources() =>
        ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "-1")], Telemetry.Name, "locked").ShouldSucceed();

    [Fact]
    public void A_thread_may_use_its_first_array_pool_while_the_source_is_made() =>
        ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "-1")], Telemetry.Name, "pool").ShouldSucceed();
}
