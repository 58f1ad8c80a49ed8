using System.Runtime.InteropServices;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>HGlobal</c> does what <c>Marshal</c>'s members of the same names do, with memory of its own.
/// </summary>
public sealed unsafe class HGlobalTests : LeakCheckedTests
{
    /// <summary>Plain, empty, beyond ASCII, beyond 16 bits, half a pair, a zero inside, and long.</summary>
    public static TheoryData<string> Strings =>
        ["", "a", "native memory", "Grüße, naïve œuvre", "日本語テキスト", "🙂 and 🧵", "half a pair \ud800 here",
            "before\0after", new string('x', 100_000), new string('é', 700_000)];

    [Theory]
    [MemberData(nameof(Strings))]
    public void Strings_come_back_as_Marshal_reads_them(string text)
    {
        nint ansi = HGlobal.StringToHGlobalAnsi(text), unicode = HGlobal.StringToHGlobalUni(text),
            utf8 = HGlobal.StringToHGlobalUTF8(text);
        nint theirAnsi = Marshal.StringToHGlobalAnsi(text), theirUnicode = Marshal.StringToHGlobalUni(text),
            theirUtf8 = Marshal.StringToCoTaskMemUTF8(text);
        Assert.Equal(Marshal.PtrToStringAnsi(theirAnsi), Marshal.PtrToStringAnsi(ansi));
        Assert.Equal(Marshal.PtrToStringUni(theirUnicode), Marshal.PtrToStringUni(unicode));
        Assert.Equal(Marshal.PtrToStringUTF8(theirUtf8), Marshal.PtrToStringUTF8(utf8));
        Assert.Equal(text, Marshal.PtrToStringUni(unicode, text.Length)); // also what comes after a zero inside
        int bytes = System.Text.Encoding.UTF8.GetByteCount(text) + 1;
        Assert.True(new Span<byte>((void*)theirUtf8, bytes).SequenceEqual(new Span<byte>((void*)utf8, bytes)),
            "the bytes differ, or the zero at the end");
        Assert.Equal(0, ((char*)unicode)[text.Length]);
        Marshal.FreeHGlobal(theirAnsi);
        Marshal.FreeHGlobal(theirUnicode);
        Marshal.FreeCoTaskMem(theirUtf8);
        HGlobal.FreeHGlobal(ansi);
        HGlobal.FreeHGlobal(unicode);
        HGlobal.FreeHGlobal(utf8);
    }

    [Fact]
    public void Strings_are_ended_in_memory_that_was_dirty()
    {
        for (int length = 0; length < 70; length++)
        {
            void* dirty = NativeAllocator.Alloc((nuint)length * 2 + 2);
            new Span<byte>(dirty, (int)NativeAllocator.UsableSize(dirty)).Fill(0xFF);
            NativeAllocator.Free(dirty);
            string text = new('y', length);
            nint unicode = HGlobal.StringToHGlobalUni(text);
            Assert.Equal(text, Marshal.PtrToStringUni(unicode));
            HGlobal.FreeHGlobal(unicode);

            new Span<byte>(dirty = NativeAllocator.Alloc((nuint)length + 1), length + 1).Fill(0xFF);
            NativeAllocator.Free(dirty);
            nint utf8 = HGlobal.StringToHGlobalUTF8(text);
            Assert.Equal(text, Marshal.PtrToStringUTF8(utf8));
            HGlobal.FreeHGlobal(utf8);
        }
    }

    [Fact]
    public void No_string_is_no_memory()
    {
        Assert.Equal(0, HGlobal.StringToHGlobalAnsi(null));
        Assert.Equal(0, HGlobal.StringToHGlobalUni(null));
        Assert.Equal(0, HGlobal.StringToHGlobalUTF8(null));
    }

    [Fact]
    public void A_negative_size_is_out_of_memory_as_it_is_with_Marshal()
    {
        foreach (int negative in new[] { -1, -5000, int.MinValue })
        {
            Assert.Throws<OutOfMemoryException>(() => Marshal.AllocHGlobal(negative));
            Assert.Throws<OutOfMemoryException>(() => HGlobal.AllocHGlobal(negative));
            Assert.Throws<OutOfMemoryException>(() => HGlobal.AllocHGlobal((nint)negative));
        }
        Assert.Throws<OutOfMemoryException>(() => HGlobal.AllocHGlobal(nint.MinValue));
        nint block = HGlobal.AllocHGlobal(100);
        Pattern.Fill((void*)block, 100, 1);
        Assert.Throws<OutOfMemoryException>(() => HGlobal.ReAllocHGlobal(block, -1));
        Pattern.Check((void*)block, 100, 1);
        HGlobal.FreeHGlobal(block);
    }

    [Fact]
    public void Zero_bytes_give_memory_of_its_own_as_they_do_with_Marshal()
    {
        nint first = HGlobal.AllocHGlobal(0), second = HGlobal.AllocHGlobal((nint)0);
        Assert.NotEqual(0, first);
        Assert.NotEqual(0, second);
        Assert.NotEqual(first, second);
        HGlobal.FreeHGlobal(first);
        HGlobal.FreeHGlobal(second);
        HGlobal.FreeHGlobal(0);
    }

    [Fact]
    public void Both_forms_give_what_was_asked_for()
    {
        nint small = HGlobal.AllocHGlobal(123);
        nint large = HGlobal.AllocHGlobal((nint)(80 * Sizes.MiB));
        Assert.True(NativeAllocator.UsableSize((void*)small) >= 123);
        Assert.True(NativeAllocator.UsableSize((void*)large) >= 80 * Sizes.MiB);
        HGlobal.FreeHGlobal(small);
        HGlobal.FreeHGlobal(large);
    }

    [Fact]
    public void A_resized_block_keeps_what_it_held()
    {
        nint block = HGlobal.ReAllocHGlobal(0, 10); // as with Marshal, nothing is made into something
        Pattern.Fill((void*)block, 10, 4);
        nuint bytes = 10;
        foreach (nint to in new nint[] { 100, 50_000, 2_000_000, 900, 5 })
        {
            block = HGlobal.ReAllocHGlobal(block, to);
            Pattern.Check((void*)block, Math.Min(bytes, (nuint)to), 4);
            bytes = (nuint)to;
            Pattern.Fill((void*)block, bytes, 4);
        }
        block = HGlobal.ReAllocHGlobal(block, 0);
        Assert.NotEqual(0, block);
        HGlobal.FreeHGlobal(block);
    }

    [Fact]
    public void A_pointer_of_Marshal_is_refused()
    {
        nint theirs = Marshal.AllocHGlobal(100);
        Assert.Throws<ArgumentException>(() => HGlobal.FreeHGlobal(theirs));
        Assert.Throws<ArgumentException>(() => HGlobal.ReAllocHGlobal(theirs, 200));
        Marshal.FreeHGlobal(theirs);
    }
}
