using System.Globalization;
using System.Runtime.InteropServices;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Proves that the report about the C library's heap knows what is in it, that what it keeps goes back if that is
/// wanted, and that where there is no such heap the answer says so.
/// </summary>
public sealed unsafe class NativeHeapReportTests
{
    private const string NoHeap = "There is no heap of glibc 2.33 or later here.";

    [Fact]
    public void What_native_code_allocates_and_frees_is_in_the_figures()
    {
        Assert.SkipUnless(NativeHeapReport.IsSupported, NoHeap);
        const int Blocks = 1_000, Bytes = 60_000; // too small for mappings of their own
        nint[] blocks = new nint[Blocks];
        NativeHeapFigures before = NativeHeapReport.Read();
        foreach (ref nint block in blocks.AsSpan()) block = (nint)NativeMemory.Alloc(Bytes);
        void* large = NativeMemory.Alloc(64 << 20);
        NativeHeapFigures full = NativeHeapReport.Read();
        NativeMemory.Free(large);
        foreach (nint block in blocks) NativeMemory.Free((void*)block);
        NativeHeapFigures after = NativeHeapReport.Read();
        // Other tests' threads and the runtime use the same heap, so there is some room.
        const ulong Small = Blocks * (ulong)Bytes, All = Small + (64 << 20), Room = 8 << 20;
        Assert.InRange(full.LiveBytes - before.LiveBytes, All - Room, All + Room);
        Assert.True(full.MappedBytes + full.SystemBytes >= All);
        Assert.True(after.LiveBytes <= before.LiveBytes + Room);
        Assert.True(full.Arenas >= 1, $"{full.Arenas} arenas");
    }

    [Fact]
    public void The_report_names_the_heap_and_its_figures()
    {
        Assert.SkipUnless(NativeHeapReport.IsSupported, NoHeap);
        using StringWriter writer = new();
        NativeHeapReport.Write(writer);
        string text = writer.ToString();
        foreach (string word in new[] { "glibc's heap:", "in arenas", "of it free", "mapped" })
            Assert.Contains(word, text, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => NativeHeapReport.Write(null!));
    }

    [Fact]
    public void The_figures_can_be_read_where_the_program_has_another_malloc()
    {
        Assert.SkipUnless(NativeHeapReport.IsSupported, NoHeap);
        string[] places =
            ["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"];
        string other = Array.Find(places, File.Exists) ?? "";
        Assert.SkipUnless(other.Length != 0, "There is no jemalloc here (apt-get install libjemalloc2).");
        ChildProcess.RunHost([("LD_PRELOAD", other)], ReadNativeHeap.Name).ShouldSucceed();
    }

    [Theory]
    [InlineData("0")]
    [InlineData("1")]
    public void With_the_option_what_glibc_keeps_goes_back_with_this_librarys_memory_and_is_in_the_report(string option)
    {
        Assert.SkipUnless(NativeHeapReport.IsSupported, NoHeap);
        string output = ChildProcess.RunHost(
            [("NATIVEALLOC_NATIVE_HEAP", option), ("NATIVEALLOC_DECAY_MILLISECONDS", "50")], NativeHeapGoesBack.Name)
            .ShouldSucceed().Output;
        long[] figures = [.. output.Split(' ').Select(text => long.Parse(text, CultureInfo.InvariantCulture))];
        (long grown, long left) = (figures[0], figures[1]);
        Assert.True(grown >= 80 << 20, $"{grown} bytes were used");
        Assert.Equal(option == "1", left <= grown / 2);
        Assert.Equal(option, figures[2].ToString(CultureInfo.InvariantCulture)); // it is in the HTML report
    }
}
