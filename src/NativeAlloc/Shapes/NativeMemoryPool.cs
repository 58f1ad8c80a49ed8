using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc;

/// <summary>
/// A <see cref="MemoryPool{T}"/> of native memory, for everything in .NET that takes a pool: pipelines, Kestrel, image
/// and network code.
/// </summary>
/// <typeparam name="T">The type of the elements.</typeparam>
/// <remarks>
/// <para>All members may be called from any thread. A pool keeps nothing itself: what is given back goes to the caches
/// of the allocator, and to the system when it was not needed for a period (<c>DecayMilliseconds</c>). So a pool needs
/// no eviction and no size limit.</para>
/// <para>What is rented has exactly the length that was asked for. It is a <see cref="NativeBuffer{T}"/>, with its
/// rules for dispose and pins.</para>
/// </remarks>
[SuppressMessage("Design", "CA1000", Justification = "The shape of MemoryPool<T>.")]
public sealed class NativeMemoryPool<T> : MemoryPool<T>
    where T : unmanaged
{
    /// <summary>What <see cref="MemoryPool{T}.Shared"/> rents where no size is said, in bytes.</summary>
    private const int DefaultBytes = 4096;

    /// <summary>1 once the pool is disposed of. Any thread, by Volatile.</summary>
    private int _disposed;

    /// <summary>The pool for all. Disposing of it does nothing.</summary>
    public static new NativeMemoryPool<T> Shared { get; } = new();

    /// <summary>The most elements that can be rented at once.</summary>
    public override int MaxBufferSize => int.MaxValue;

    /// <summary>Rents memory; what it holds is undefined. It goes back when the owner is disposed of.</summary>
    /// <param name="minBufferSize">Number of elements; -1 for as many as 4096 bytes hold, at least one.</param>
    /// <returns>The owner of the memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative, and not -1.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    /// <exception cref="ObjectDisposedException">The pool is disposed of.</exception>
    public override IMemoryOwner<T> Rent(int minBufferSize = -1)
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (minBufferSize == -1) minBufferSize = 1 + (DefaultBytes - 1) / Unsafe.SizeOf<T>();
        ArgumentOutOfRangeException.ThrowIfNegative(minBufferSize);
        return new NativeBuffer<T>(minBufferSize);
    }

    /// <summary>Ends the pool: nothing more can be rented. What is rented already stays its renters'.</summary>
    /// <param name="disposing">As ever.</param>
    protected override void Dispose(bool disposing)
    {
        if (this != Shared) Volatile.Write(ref _disposed, 1);
    }
}
