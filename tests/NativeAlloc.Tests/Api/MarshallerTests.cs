using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using System.Text;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that strings and arrays get to functions of the C library by the marshallers, whole, from the caller's stack
/// or from a block, and that nothing is left behind.
/// </summary>
public sealed unsafe partial class MarshallerTests : LeakCheckedTests
{
    [Fact]
    public void Strings_of_any_length_arrive()
    {
        foreach (int length in new[] { 0, 1, 84, 85, 86, 127, 128, 129, 254, 255, 256, 257, 10_000 })
        {
            foreach (char letter in "aé日")
            {
                string text = new(letter, length);
                int bytes = Encoding.UTF8.GetByteCount(text);
                Assert.Equal((nuint)bytes, LengthUtf8(text));
                Assert.Equal((nuint)bytes, LengthAnsi(text)); // the same outside Windows
                Assert.Equal((nuint)length, LengthUtf16(text, length));
            }
        }
        Assert.Equal(0, CompareUtf8("x", "x"));
        Assert.True(CompareUtf8("a", new string('b', 5000)) < 0);
    }

    [Fact]
    public void What_native_code_allocates_by_the_callbacks_comes_back_and_is_freed()
    {
        byte* block = (byte*)NativeCallbacks.Malloc(10);
        "text\0"u8.CopyTo(new Span<byte>(block, 5));
        Assert.Equal("text", NativeUtf8StringMarshaller.ConvertToManaged(block));
        NativeUtf8StringMarshaller.Free(block);
        ushort* wide = NativeUtf16StringMarshaller.ConvertToUnmanaged("wide");
        Assert.Equal("wide", NativeUtf16StringMarshaller.ConvertToManaged(wide));
        NativeUtf16StringMarshaller.Free(wide);
        byte* ansi = NativeAnsiStringMarshaller.ConvertToUnmanaged("ansi");
        Assert.Equal("ansi", NativeAnsiStringMarshaller.ConvertToManaged(ansi));
        NativeAnsiStringMarshaller.Free(ansi);
        Assert.True(NativeUtf8StringMarshaller.ConvertToUnmanaged(null) == null);
        Assert.Null(NativeUtf8StringMarshaller.ConvertToManaged(null));
    }

    [Fact]
    public void Arrays_of_any_length_arrive()
    {
        foreach (int length in new[] { 0, 1, 100, 128, 129, 100_000 })
        {
            int[] numbers = [.. Enumerable.Range(1, length)];
            Assert.Equal(0, CompareInts(numbers, [.. numbers], (nuint)length * sizeof(int)));
            if (length == 0) continue;
            int[] other = [.. numbers];
            other[^1] = 0;
            Assert.NotEqual(0, CompareInts(numbers, other, (nuint)length * sizeof(int)));
        }
    }

    [LibraryImport("libc", EntryPoint = "strlen")]
    private static partial nuint LengthUtf8([MarshalUsing(typeof(NativeUtf8StringMarshaller))] string text);

    [LibraryImport("libc", EntryPoint = "strlen")]
    private static partial nuint LengthAnsi([MarshalUsing(typeof(NativeAnsiStringMarshaller))] string text);

    [LibraryImport("libc", EntryPoint = "strcmp")]
    private static partial int CompareUtf8([MarshalUsing(typeof(NativeUtf8StringMarshaller))] string one,
        [MarshalUsing(typeof(NativeUtf8StringMarshaller))] string other);

    // The C library has no function for 16 bits a character that is the same everywhere: a copy is looked at instead.
    private static nuint LengthUtf16(string text, int length)
    {
        ushort* copy = (ushort*)NativeAllocator.Alloc((nuint)(length + 1) * 2);
        Copy((nint)copy, text, (nuint)(length + 1) * 2);
        nuint count = 0;
        while (copy[count] != 0) count++;
        NativeAllocator.Free(copy);
        return count;
    }

    [LibraryImport("libc", EntryPoint = "memcpy")]
    private static partial nint Copy(nint target, [MarshalUsing(typeof(NativeUtf16StringMarshaller))] string text,
        nuint bytes);

    [LibraryImport("libc", EntryPoint = "memcmp")]
    private static partial int CompareInts([MarshalUsing(typeof(NativeArrayMarshaller<,>))] int[] one,
        [MarshalUsing(typeof(NativeArrayMarshaller<,>))] int[] other, nuint bytes);
}
