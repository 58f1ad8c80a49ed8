using System.Buffers;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Shapes;

/// <summary>
/// Proves that the pool keeps the contract of <see cref="MemoryPool{T}"/>: the same code runs on the pool of arrays and
/// on those of native memory.
/// </summary>
public sealed class MemoryPoolTests : LeakCheckedTests
{
    private static IEnumerable<MemoryPool<T>> Pools<T>()
        where T : unmanaged
    {
        yield return MemoryPool<T>.Shared;
        yield return NativeMemoryPool<T>.Shared;
        using NativeMemoryPool<T> own = new();
        yield return own;
    }

    [Fact]
    public void Rented_memory_is_as_long_as_asked_for()
    {
        foreach (MemoryPool<int> pool in Pools<int>())
        {
            foreach (int length in new[] { 0, 1, 5, 100, 4096, 70_000, 1_000_000 })
            {
                using IMemoryOwner<int> owner = pool.Rent(length);
                Assert.True(owner.Memory.Length >= length);
                owner.Memory.Span.Fill(length);
                Assert.False(owner.Memory.Span.ContainsAnyExcept(length));
            }
        }
    }

    [Fact]
    public void Without_a_size_it_is_4096_bytes()
    {
        foreach (MemoryPool<byte> pool in Pools<byte>())
            using (IMemoryOwner<byte> owner = pool.Rent()) Assert.Equal(4096, owner.Memory.Length);
        foreach (MemoryPool<long> pool in Pools<long>())
            using (IMemoryOwner<long> owner = pool.Rent()) Assert.True(owner.Memory.Length >= 512);
        foreach (MemoryPool<Large> pool in Pools<Large>())
            using (IMemoryOwner<Large> owner = pool.Rent()) Assert.True(owner.Memory.Length >= 1);
    }

    [Fact]
    public void Sizes_that_cannot_be_are_refused()
    {
        foreach (MemoryPool<byte> pool in Pools<byte>())
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(-2));
            Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(int.MinValue));
            Assert.True(pool.MaxBufferSize >= 0x7FFFFFC7);
        }
    }

    [Fact]
    public void Memory_that_went_back_is_refused()
    {
        foreach (MemoryPool<byte> pool in Pools<byte>())
        {
            IMemoryOwner<byte> owner = pool.Rent(100);
            owner.Dispose();
            owner.Dispose();
            Assert.Throws<ObjectDisposedException>(() => owner.Memory.Length);
        }
    }

    [Fact]
    public void Renters_do_not_share()
    {
        foreach (MemoryPool<int> pool in Pools<int>())
        {
            List<IMemoryOwner<int>> owners = [.. Enumerable.Range(0, 100).Select(_ => pool.Rent(77))];
            for (int i = 0; i < owners.Count; i++) owners[i].Memory.Span.Fill(i);
            for (int i = 0; i < owners.Count; i++) Assert.False(owners[i].Memory.Span.ContainsAnyExcept(i));
            foreach (IMemoryOwner<int> owner in owners) owner.Dispose();
        }
    }

    [Fact]
    public void A_slice_can_be_pinned()
    {
        foreach (MemoryPool<int> pool in Pools<int>())
        {
            using IMemoryOwner<int> owner = pool.Rent(100);
            owner.Memory.Span[42] = 7;
            using MemoryHandle pin = owner.Memory.Slice(42).Pin();
            unsafe
            {
                Assert.Equal(7, *(int*)pin.Pointer);
            }
        }
    }

    [Fact]
    public void A_pool_of_ones_own_ends_and_leaves_what_is_rented()
    {
        NativeMemoryPool<int> pool = new();
        IMemoryOwner<int> owner = pool.Rent(10);
        pool.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pool.Rent(10));
        owner.Memory.Span.Fill(3);
        owner.Dispose();
        NativeMemoryPool<int>.Shared.Dispose();
        NativeMemoryPool<int>.Shared.Rent(10).Dispose(); // it is for all, so it does not end
    }

    private unsafe struct Large
    {
        internal fixed byte Bytes[10_000];
    }
}
