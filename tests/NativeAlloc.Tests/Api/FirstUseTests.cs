using System.Globalization;
using System.Reflection;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the first use of the allocator goes well whatever runs in the middle of it, and that nothing of the
/// library runs by itself on the thread of finalizers.
/// </summary>
public sealed unsafe class FirstUseTests
{
    [Fact]
    public void An_allocation_while_an_assembly_is_loaded_finds_no_layer_half_set_up()
    {
        string[] lines =
            ChildProcess.RunHost(LoadHandler.Name).ShouldSucceed().Output.ReplaceLineEndings("\n").Trim().Split('\n');
        Assert.Equal("blocks 1", lines[^1]); // for one thread
        foreach (string method in lines[..^1])
            Assert.StartsWith("NativeAlloc.Startup.", method, StringComparison.Ordinal);
    }

    [Fact]
    public void A_limit_for_files_makes_high_pages_fail_and_nothing_worse()
    {
        SystemNeeds.Linux("a limit for the size of files (ulimit -f)");
        string[] lines =
            ChildProcess.RunHost(FileLimit.Name).ShouldSucceed().Output.ReplaceLineEndings("\n").Trim().Split('\n');
        Assert.Equal(["page Normal", "no ring"], lines);
    }

    [Fact]
    public void A_context_that_the_library_was_loaded_into_goes_with_all_its_addresses_unless_a_block_is_live()
    {
        ChildProcess process = ChildProcess.RunHost([("NATIVEALLOC_DECAY_MILLISECONDS", "10")], UnloadedContext.Name);
        Assert.Equal("0 0 0", process.ShouldSucceed().Output.Trim());
    }

    [Fact]
    public void Where_addresses_run_out_the_message_names_the_option_and_smaller_blocks_are_to_be_had()
    {
        ChildProcess process =
            ChildProcess.RunHost([("NATIVEALLOC_VMALLOC_RESERVE_BYTES", "4G")], AddressesEnd.Name).ShouldSucceed();
        string[] words = process.Output.Split(' ', 2);
        Assert.InRange(int.Parse(words[0], CultureInfo.InvariantCulture), 8, 16);
        Assert.Contains("bytes of addresses", words[1], StringComparison.Ordinal);
        Assert.Contains("VmallocReserveBytes", words[1], StringComparison.Ordinal);
    }

    // It would run when the managed heap may be full, and while raw pointers to what it frees are in use.
    [Fact]
    public void No_finalizer_frees_memory_that_is_in_use()
    {
        string[] harmless = ["GrowingBlock", "NativeBuffer`1", // they note that something was forgotten
            "FirstFinalized"]; // it does nothing
        const BindingFlags Own = BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        IEnumerable<string> types = typeof(NativeAllocator).Assembly.GetTypes()
            .Where(type => type.GetMethod("Finalize", Own) != null).Select(type => type.Name);
        // Made in contexts that can be unloaded only; frees addresses in which nothing is live.
        Assert.Equal(["LibraryContext"], types.Except(harmless));
    }
}
