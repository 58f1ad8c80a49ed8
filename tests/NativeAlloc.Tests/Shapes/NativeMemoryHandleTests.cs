using System.Runtime.CompilerServices;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Shapes;

/// <summary>
/// Proves that the handle is a safe buffer that frees its block, and that a span owner frees its own.
/// </summary>
public sealed unsafe class NativeMemoryHandleTests : LeakCheckedTests
{
    [Fact]
    public void It_is_a_safe_buffer()
    {
        using NativeMemoryHandle handle = new(100, zeroed: true);
        Assert.Equal(100u, handle.ByteLength);
        Assert.False(handle.IsInvalid);
        handle.Write(40, 1234567L);
        Assert.Equal(1234567L, handle.Read<long>(40));
        Assert.Equal(0, handle.Read<int>(0));
        Assert.Throws<ArgumentException>(() => handle.Read<long>(96));
        using UnmanagedMemoryStream stream = new(handle, 0, 100);
        stream.Position = 40;
        Assert.Equal(0x87, stream.ReadByte()); // 1234567 is 0x12D687
    }

    [Fact]
    public void It_is_freed_when_no_call_uses_it_any_more()
    {
        NativeMemoryHandle handle = new(1000);
        byte* pointer = null;
        handle.AcquirePointer(ref pointer);
        handle.Dispose();
        pointer[999] = 1;
        Assert.True(NativeAllocator.UsableSize(pointer) >= 1000);
        handle.ReleasePointer();
        Assert.True(handle.IsClosed);
        Assert.Throws<ObjectDisposedException>(() => handle.Read<byte>(0));
    }

    [Fact]
    public void It_may_hold_nothing()
    {
        using NativeMemoryHandle handle = new(0);
        Assert.Equal(0u, handle.ByteLength);
        Assert.Throws<ArgumentException>(() => handle.Read<byte>(0));
    }

    [Fact]
    public void A_forgotten_handle_is_freed_by_its_finalizer()
    {
        Forget();
        GC.Collect();
        GC.WaitForPendingFinalizers(); // the check for leaks is at the end of each test
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget() => _ = new NativeMemoryHandle(3000);

    [Fact]
    public void A_span_owner_frees_at_the_end_of_its_scope()
    {
        long live = NativeAllocator.GetStatistics().LiveBlocks;
        using (NativeSpan<int> numbers = NativeSpan<int>.Rent(1000, zeroed: true))
        {
            Assert.Equal(live + 1, NativeAllocator.GetStatistics().LiveBlocks);
            Assert.Equal(1000, numbers.Length);
            Assert.False(numbers.Span.ContainsAnyExcept(0));
            numbers[999] = 5;
            Assert.Equal(5, numbers.Pointer[999]);
        }
        Assert.Equal(live, NativeAllocator.GetStatistics().LiveBlocks);
        NativeSpan<int> ended = NativeSpan<int>.Rent(5);
        ended.Dispose();
        ended.Dispose();
        Assert.Equal(0, ended.Span.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => NativeSpan<int>.Rent(-1).Length);
        default(NativeSpan<int>).Dispose();
    }
}
