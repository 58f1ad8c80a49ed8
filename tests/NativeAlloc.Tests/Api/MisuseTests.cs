using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves what is noticed of each mistake of the catalogue, in a process for each: in check mode all of them, and by
/// default those that glibc notices, too, at the latest when a magazine moves.
/// </summary>
public sealed class MisuseTests
{
    /// <summary>Each mistake, and a word of what check mode says of it.</summary>
    public static TheoryData<string, string> Mistakes => new()
    {
        { "double free at once", "is free already" },
        { "double free, one between", "is free already" },
        { "double free, 1,000 between", "is free already" },
        { "double free on two threads", "is free already" },
        { "double free after reuse", "is free already" },
        { "double free of 100 KiB", "is free already" },
        { "double free of 4 MiB", "is free already" },
        { "overflow by 1 byte", "overflow: 0x" },
        { "overflow by 8 bytes", "overflow: 0x" },
        { "overflow by a page", "overflow: 0x" },
        { "underflow by 8 bytes", "underflow: 0x" },
        { "free of a pointer 8 bytes inside", "it lies 8 bytes from the beginning" },
        { "free of a pointer 16 bytes inside", "it lies 16 bytes from the beginning" },
        { "free of memory never allocated", "or never allocated" },
        { "free of a stack address", "was not allocated by NativeAlloc" },
        { "free of a managed address", "was not allocated by NativeAlloc" },
        { "write after free", "use after free: 0x" },
        { "realloc of a freed one", "is free already" },
        { "realloc of a freed one in its place", "is free already" },
        { "usable size of a freed block", "is free already" },
        { "double free after the slab has gone", "is free already" },
        { "free of a block of malloc", "was not allocated by NativeAlloc" },
        { "free of the allocator's own memory", "was not allocated by NativeAlloc" },
        { "double free of a cache's object", "is free already" },
        { "another cache's object", "is freed where it was not allocated" },
        { "a block of NativeAllocator to a cache", "is freed where it was not allocated" },
        { "object of a cache that is disposed of", "was not allocated by NativeAlloc" },
        { "overflow of a cache's object", "overflow: 0x" },
        { "a block of an arena", "lies in a NativeArena" },
        { "a block of NativeAllocator to Vmalloc", "is freed where it was not allocated" },
        { "a page, twice", "is free already" },
        { "a size that overflows", "more than the address space holds" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Check_mode_throws_at_the_call_or_when_it_looks(string mistake, string words)
    {
        ChildProcess child = Run(mistake, "1").ShouldSucceed();
        Assert.Contains(Misuse.Thrown, child.Output, StringComparison.Ordinal);
        Assert.Contains(words, child.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("two owners", child.Output, StringComparison.Ordinal);
        if (words is "is free already" or "overflow: 0x" && !mistake.StartsWith("a page", StringComparison.Ordinal))
            Assert.Contains("at NativeAlloc.TestHost.Misuse.", child.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("read after free", "reads 0x6b")]
    [InlineData("read of fresh memory", "reads 0x5a")]
    public void Check_mode_shows_a_wrong_read_by_its_value(string mistake, string value) =>
        Assert.Contains(value, Run(mistake, "1").ShouldSucceed().Output, StringComparison.Ordinal);

    [Fact]
    public void Check_mode_reports_leaks_at_exit_with_the_stack()
    {
        ChildProcess child = Run("a leak", "1").ShouldSucceed();
        Assert.Contains("1 blocks of 12345 bytes were not freed", child.Errors, StringComparison.Ordinal);
        Assert.Contains("at NativeAlloc.TestHost.Misuse.", child.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Check_mode_throws_nothing_and_aligns_blocks_where_the_default_does() =>
        ChildProcess.RunHost(CheckedCalls.Name).ShouldSucceed();

    [Theory]
    [InlineData("double free at once")]
    [InlineData("double free, one between")]
    [InlineData("double free, 1,000 between")]
    [InlineData("double free, 100,000 between")]
    [InlineData("double free on two threads")]
    [InlineData("double free of 100 KiB")]
    [InlineData("double free of 4 MiB")]
    [InlineData("free of a pointer 8 bytes inside")]
    [InlineData("free of a pointer 16 bytes inside")]
    [InlineData("free of memory never allocated")]
    [InlineData("realloc of a freed one")]
    [InlineData("realloc of a freed one in its place")]
    [InlineData("usable size of a freed block")]
    [InlineData("double free of a cache's object")]
    [InlineData("another cache's object")]
    [InlineData("a page, twice")]
    public void By_default_it_is_noticed_at_the_latest_when_a_magazine_moves(string mistake)
    {
        ChildProcess child = Run(mistake, "0");
        Assert.True(child.ExitCode != 0 || child.Output.Contains(Misuse.Thrown, StringComparison.Ordinal),
            child.Output + child.Errors);
    }

    [Fact]
    public void The_rows_are_the_catalogue()
    {
        string[] others = ["read after free", "read of fresh memory", "a leak", "double free, 100,000 between"];
        Assert.Equal(Misuse.General.Keys.Concat(Misuse.Own.Keys).Except(others).Order(StringComparer.Ordinal),
            Mistakes.Select(row => row.Data.Item1).Order(StringComparer.Ordinal));
    }

    private static ChildProcess Run(string mistake, string check) =>
        ChildProcess.RunHost([("NATIVEALLOC_CHECK", check)], Misuse.Name, mistake);
}
