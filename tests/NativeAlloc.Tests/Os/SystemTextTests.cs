using System.Text;
using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>What is read out of files of the system, and how their paths are put together.</summary>
public sealed unsafe class SystemTextTests
{
    [Theory]
    [InlineData("12 345 67 8\n", 0, 12)]
    [InlineData("12 345 67 8\n", 1, 345)]
    [InlineData("12 345 67 8\n", 3, 8)]
    [InlineData("12 345 67 8\n", 4, null)]
    [InlineData("12 345", 1, 345)]
    [InlineData("", 1, null)]
    public void A_line_of_numbers_is_read(string line, int field, int? number) =>
        Assert.Equal((ulong?)number, Read(line, text => text.NumberAt(field)));

    [Theory]
    [InlineData("18446744073709551615", ulong.MaxValue)]
    [InlineData(" \t7\n", 7UL)]
    [InlineData("007x", 7UL)]
    [InlineData("18446744073709551616", null)]
    [InlineData("99999999999999999999", null)]
    [InlineData("max\n", null)]
    [InlineData("-1", null)]
    [InlineData("  ", null)]
    public void A_number_that_does_not_fit_or_is_none_is_unknown(string whole, ulong? number) =>
        Assert.Equal(number, Read(whole, text => text.Number()));

    [Theory]
    [InlineData("MemTotal:  24 kB\nMemFree: 5 kB\n", 24UL)]
    [InlineData("OldMemTotal: 1\nMemTotal:\t24", 24UL)]
    [InlineData("MemTotal:24", null)]
    [InlineData("MemTotal:", null)]
    [InlineData("", null)]
    public void The_number_of_a_line_is_found_by_the_word_that_begins_it(string whole, ulong? number) =>
        Assert.Equal(number, Read(whole, text => text.NumberAfter("MemTotal:"u8)));

    [Theory]
    [InlineData("memory", true)]
    [InlineData("cpu,memory", true)]
    [InlineData("memory,cpu", true)]
    [InlineData("cpu,memory2,xmemory", false)]
    [InlineData(",", false)]
    [InlineData("", false)]
    public void A_list_has_a_word_or_not(string list, bool has) =>
        Assert.Equal(has ? 1UL : 0, Read(list, text => text.HasWord("memory"u8) ? 1UL : 0));

    [Fact]
    public void A_path_that_does_not_fit_is_not_whole_and_writes_nothing_beyond_its_buffer()
    {
        byte* buffer = stackalloc byte[9];
        buffer[8] = 0x5a;
        SystemPath path = new(buffer, 8);
        path.Append("/a"u8);
        path.Append(Encoding.ASCII.GetBytes("/bcde"));
        Assert.True(path.IsWhole);
        Assert.Equal("/a/bcde\0"u8.ToArray(), new ReadOnlySpan<byte>(path.Name, 8).ToArray());
        path.Append("f"u8);
        Assert.False(path.IsWhole);
        Assert.Equal(0x5a, buffer[8]);
        path.Shorten(2);
        Assert.Equal("/a\0"u8.ToArray(), new ReadOnlySpan<byte>(path.Name, 3).ToArray());
    }

    private delegate ulong? Reader(SystemText text);

    private static ulong? Read(string whole, Reader reader)
    {
        fixed (byte* bytes = Encoding.ASCII.GetBytes(whole + "9")) // what stands behind the text is not read
            return reader(new SystemText(bytes, whole.Length));
    }
}
