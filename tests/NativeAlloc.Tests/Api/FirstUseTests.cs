using System.Reflection;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>Proves that the first use of the allocator goes well whatever runs in the middle of it, and that nothing of the library runs by itself on the thread of finalizers.</summary>
public sealed unsafe class FirstUseTests
{
    [Fact]
    public void An_allocation_while_an_assembly_is_loaded_finds_no_layer_half_set_up()
    {
        string[] lines = ChildProcess.RunHost(LoadHandler.Name).ShouldSucceed().Output.ReplaceLineEndings("\n").Trim().Split('\n');
        Assert.Equal("blocks 1", lines[^1]); // for one thread
        foreach (string method in lines[..^1]) Assert.DoesNotContain(method, HalfWay, StringComparer.Ordinal);
        // Where an assembly was loaded, it was before anything was set up, or where nothing is: in the library's face.
        foreach (string method in lines[..^1])
            Assert.True(method.StartsWith("NativeAlloc.Os.Startup.", StringComparison.Ordinal) || method.Split('.').Length == 3, method);
    }

    private static string[] HalfWay => ["NativeAlloc.NativeAllocator.AttachThread"];

    [Fact]
    public void Where_the_managed_heap_is_full_the_first_use_may_fail_and_a_later_one_does_not()
    {
        string output = ChildProcess.RunHost([("DOTNET_GCHeapHardLimit", "0x3000000")], FullManagedHeap.Name).ShouldSucceed().Output;
        Assert.StartsWith("refused ", output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_limit_for_files_makes_high_pages_fail_and_nothing_worse()
    {
        string[] lines = ChildProcess.RunHost(FileLimit.Name).ShouldSucceed().Output.ReplaceLineEndings("\n").Trim().Split('\n');
        Assert.Equal(["page Normal", "no ring"], lines);
    }

    // It would run when the managed heap may be full, and while raw pointers to what it frees are in use.
    [Fact]
    public void No_type_has_a_finalizer()
    {
        const BindingFlags Own = BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        IEnumerable<string> types = typeof(NativeAllocator).Assembly.GetTypes().Where(type => type.GetMethod("Finalize", Own) != null).Select(type => type.Name);
        Assert.Empty(types.Except(["PressureWatch"])); // which frees nothing
    }
}
