using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that the library leaves addresses to others where there are few, and works with few.</summary>
public sealed class AddressShareTests
{
    private static readonly ulong s_gibi = 1UL << 30;

    private static readonly nuint s_wanted = (nuint)(100 * s_gibi);

    [Fact]
    public void Without_a_limit_the_share_is_what_is_wanted() =>
        Assert.Equal(s_wanted, AddressShare.Of(s_wanted, 4, null, 5 * s_gibi));

    [Theory]
    [InlineData(8, 0, 2)]
    [InlineData(8, 1, 1)] // 1.75 GiB, rounded down to a power of two
    [InlineData(32, 0, 8)]
    [InlineData(8, 9, 0)] // nothing is left
    [InlineData(1000, 0, 100)]
    public void With_a_limit_it_is_a_part_of_what_is_left(ulong limit, ulong used, ulong share) =>
        Assert.Equal((nuint)(share * s_gibi), AddressShare.Of(s_wanted, 4, limit * s_gibi, used * s_gibi));

    [Fact]
    public void Where_the_system_refuses_a_whole_section_the_library_takes_less()
    {
        if (OperatingSystem.IsLinux()) ChildProcess.RunHost(FirstBlockLimit.Name).ShouldSucceed();
    }

    [Theory]
    [InlineData(nameof(OsCall.Reserve))]
    [InlineData(nameof(OsCall.Commit))]
    public void A_process_that_is_given_none_at_its_first_use_has_all_at_a_later_one(string refused) =>
        ChildProcess.RunHost(RefusedStart.Name, refused).ShouldSucceed();

    [Theory]
    [InlineData(64)]
    [InlineData(2048)]
    [InlineData(8192)]
    public void The_library_works_with_few_addresses_and_leaves_half_of_them(int mebibytes)
    {
        if (OperatingSystem.IsLinux()) ChildProcess.RunHost(AddressLimit.Name, $"{mebibytes}").ShouldSucceed();
    }

    [Theory]
    [InlineData(64, AddressLimit.Heap)]
    [InlineData(512, AddressLimit.Heap)]
    [InlineData(64, AddressLimit.Check)]
    [InlineData(512, AddressLimit.Check)]
    [InlineData(512, AddressLimit.Profiler)]
    public void So_do_heaps_check_mode_and_the_profiler(int mebibytes, string user)
    {
        if (!OperatingSystem.IsLinux()) return;
        string check = user == AddressLimit.Check ? "1" : "0";
        ChildProcess.RunHost([("NATIVEALLOC_CHECK", check)], AddressLimit.Name, $"{mebibytes}", user).ShouldSucceed();
    }
}
