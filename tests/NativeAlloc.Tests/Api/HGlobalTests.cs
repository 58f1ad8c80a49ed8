using System.Reflection;
using System.Runtime.InteropServices;
using System.Security;
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
    public void A_pointer_of_Marshal_is_refused_and_the_error_names_the_parameter()
    {
        nint theirs = Marshal.AllocHGlobal(100);
        nint ours = HGlobal.AllocHGlobal(100);
        (string Parameter, Action Call)[] calls =
        [
            ("hglobal", () => HGlobal.FreeHGlobal(theirs)), ("pv", () => HGlobal.ReAllocHGlobal(theirs, 200)),
            ("s", () => HGlobal.ZeroFreeGlobalAllocAnsi(theirs)),
            ("s", () => HGlobal.ZeroFreeGlobalAllocUnicode(theirs)), ("hglobal", () => HGlobal.FreeHGlobal(ours + 1)),
        ];
        foreach ((string parameter, Action call) in calls)
        {
            ArgumentException error = Assert.Throws<ArgumentException>(call);
            Assert.Equal(parameter, error.ParamName);
            Assert.DoesNotContain("'ptr'", error.Message, StringComparison.Ordinal);
            Assert.Contains($"'{parameter}'", error.Message, StringComparison.Ordinal);
        }
        Marshal.FreeHGlobal(theirs);
        HGlobal.FreeHGlobal(ours);
    }

    [Theory]
    [MemberData(nameof(Strings))]
    public void A_string_in_the_systems_own_encoding_is_Marshals(string text)
    {
        nint ours = HGlobal.StringToHGlobalAuto(text), theirs = Marshal.StringToHGlobalAuto(text);
        Assert.Equal(Marshal.PtrToStringAuto(theirs), Marshal.PtrToStringAuto(ours));
        HGlobal.FreeHGlobal(ours);
        Marshal.FreeHGlobal(theirs);
        Assert.Equal(0, HGlobal.StringToHGlobalAuto(null));
    }

    [Fact]
    public void A_secure_string_comes_back_and_its_copy_is_wiped()
    {
        SystemNeeds.NoWine("SecureString waits for ever");
        using SecureString secret = new();
        foreach (char c in "pass é 🙂") secret.AppendChar(c);
        nint ansi = HGlobal.SecureStringToGlobalAllocAnsi(secret);
        nint unicode = HGlobal.SecureStringToGlobalAllocUnicode(secret);
        Assert.Equal("pass é 🙂", Marshal.PtrToStringAnsi(ansi));
        Assert.Equal("pass é 🙂", Marshal.PtrToStringUni(unicode));
        HGlobal.ZeroFreeGlobalAllocAnsi(ansi);
        HGlobal.ZeroFreeGlobalAllocUnicode(unicode);
        Assert.False(new ReadOnlySpan<byte>((void*)ansi, 12).ContainsAnyExcept((byte)0)); // free, and still mapped
        Assert.False(new ReadOnlySpan<byte>((void*)unicode, 16).ContainsAnyExcept((byte)0));
        HGlobal.ZeroFreeGlobalAllocAnsi(0);
        HGlobal.ZeroFreeGlobalAllocUnicode(0);
        Assert.Throws<ArgumentNullException>(() => HGlobal.SecureStringToGlobalAllocAnsi(null!));
        Assert.Throws<ArgumentNullException>(() => HGlobal.SecureStringToGlobalAllocUnicode(null!));
    }

    [Fact]
    public void A_secure_string_is_copied_beyond_its_zeros()
    {
        SystemNeeds.NoWine("SecureString waits for ever");
        const string Text = "a\0é\0";
        using SecureString secret = new();
        foreach (char c in Text) secret.AppendChar(c);
        nint ansi = HGlobal.SecureStringToGlobalAllocAnsi(secret), theirs = Marshal.StringToHGlobalAnsi(Text);
        nint unicode = HGlobal.SecureStringToGlobalAllocUnicode(secret);
        int bytes = OperatingSystem.IsWindows() ? 5 : 6;
        Assert.Equal(new ReadOnlySpan<byte>((void*)theirs, bytes), new ReadOnlySpan<byte>((void*)ansi, bytes));
        Assert.Equal(Text, Marshal.PtrToStringUni(unicode, Text.Length));
        Marshal.FreeHGlobal(theirs);
        HGlobal.ZeroFreeGlobalAllocAnsi(ansi);
        HGlobal.ZeroFreeGlobalAllocUnicode(unicode);
    }

    [Fact]
    public void Every_member_of_Marshal_for_this_memory_has_its_twin()
    {
        string[] theirs = [.. typeof(Marshal).GetMethods().Where(IsOfThisMemory).Select(Signature).Order()];
        string[] ours = [.. typeof(HGlobal).GetMethods().Select(Signature).Order()];
        Assert.NotEmpty(theirs);
        Assert.Empty(theirs.Except(ours));
        string[] memory = [.. typeof(NativeMemory).GetMethods(BindingFlags.Public | BindingFlags.Static)
            .Select(Signature)];
        string[] allocator = [.. typeof(NativeAllocator).GetMethods().Select(Signature)];
        Assert.Empty(memory.Except(allocator));

        static bool IsOfThisMemory(MethodInfo method) =>
            method.Name.Contains("HGlobal", StringComparison.Ordinal)
            || method.Name.Contains("GlobalAlloc", StringComparison.Ordinal);

        static string Signature(MethodInfo method) => $"{method.ReturnType} {method.Name}(" +
            string.Join(", ", method.GetParameters().Select(p => $"{p.ParameterType} {p.Name}")) + ")";
    }
}
