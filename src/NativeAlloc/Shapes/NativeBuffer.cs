using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// An array in native memory, as a <see cref="Memory{T}"/> that is sliced and pinned like any other, until
/// <see cref="Dispose()"/>.
/// </summary>
/// <typeparam name="T">The type of the elements.</typeparam>
/// <remarks>
/// <para>All members may be called from any thread; the elements are for their users to agree on. The collector never
/// moves them, so a pin costs a counter only.</para>
/// <para>After <see cref="Dispose()"/> every way to the elements throws <see cref="ObjectDisposedException"/>, also
/// through a <see cref="Memory{T}"/> that was taken before. A span that was taken before must not be used. A block that
/// is pinned at that moment is freed with its last pin.</para>
/// <para>A buffer that is dropped without <see cref="Dispose()"/> is not freed, as a span of it may still be in use
/// and does not keep it alive. It is counted in <see cref="AllocatorStatistics.ForgottenBlocks"/>.</para>
/// </remarks>
[SuppressMessage("Reliability", "CA2015", Justification = "The finalizer counts; it frees nothing.")]
[SuppressMessage("Design", "CA1063", Justification = "MemoryManager has the pattern.")]
public sealed unsafe class NativeBuffer<T> : MemoryManager<T>
    where T : unmanaged
{
    private readonly int _length;

    /// <summary>0 once the buffer is disposed of. Any thread, by Volatile and Interlocked.</summary>
    private nint _address;

    /// <summary>Made with the first pin. Any thread, by Interlocked.</summary>
    private BlockPins? _pins;

    /// <summary>Makes a buffer.</summary>
    /// <param name="length">Number of elements, 0 or more.</param>
    /// <param name="zeroed">The elements are zero; else what they hold is undefined.</param>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeBuffer(int length, bool zeroed = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        nuint bytes = (nuint)length * (nuint)sizeof(T);
        _length = length;
        // Last: one that could not be made has no address, and the finalizer does not count it.
        _address = (nint)(zeroed ? NativeAllocator.AllocZeroed(bytes) : NativeAllocator.Alloc(bytes));
    }

    /// <summary>Counts the buffer as forgotten; see <see cref="AllocatorStatistics.ForgottenBlocks"/>.</summary>
    ~NativeBuffer()
    {
        if (_address != 0) ForgottenBlocks.Add((nuint)_length * (nuint)sizeof(T));
    }

    /// <summary>Number of elements.</summary>
    public int Length => _length;

    /// <summary>Where the first element is. The address stays the same until <see cref="Dispose()"/>.</summary>
    /// <exception cref="ObjectDisposedException">The buffer is disposed of.</exception>
    public T* Pointer => (T*)LiveAddress();

    /// <summary>The elements, as long as the buffer is not disposed of.</summary>
    /// <exception cref="ObjectDisposedException">The buffer is disposed of.</exception>
    public Span<T> Span => GetSpan();

    /// <inheritdoc cref="Span"/>
    /// <returns>The elements.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public override Span<T> GetSpan() => new((void*)LiveAddress(), _length);

    /// <summary>Pins the elements: they stay where they are, and allocated, until the handle is disposed of.</summary>
    /// <param name="elementIndex">The element that the handle points to, 0 to <see cref="Length"/>.</param>
    /// <returns>The handle.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such element.</exception>
    /// <exception cref="ObjectDisposedException">The buffer is disposed of.</exception>
    public override MemoryHandle Pin(int elementIndex = 0)
    {
        nint address = LiveAddress();
        if (elementIndex < 0 || elementIndex > _length)
            throw new ArgumentOutOfRangeException(nameof(elementIndex), elementIndex,
                $"The index is {elementIndex}; the buffer has {_length} elements.");
        BlockPins? pins = Volatile.Read(ref _pins);
        if (pins == null)
        {
            BlockPins made = new(address);
            pins = Interlocked.CompareExchange(ref _pins, made, null) ?? made;
        }
        ObjectDisposedException.ThrowIf(!pins.TryAdd(), this);
        return new MemoryHandle((T*)address + elementIndex, default, pins);
    }

    /// <summary>
    /// Ends a pin. A <see cref="MemoryHandle"/> does this when it is disposed of; use one of the two.
    /// </summary>
    /// <exception cref="InvalidOperationException">The elements are not pinned.</exception>
    public override void Unpin()
    {
        if (Volatile.Read(ref _pins) is not { } pins) ThrowHelper.ThrowNotPinned();
        else pins.Unpin();
    }

    /// <summary>
    /// Frees the elements, where they are pinned with the last pin. Every later use throws; a second call does nothing.
    /// </summary>
    public void Dispose() => ((IDisposable)this).Dispose();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address == 0) return;
        if (Interlocked.CompareExchange(ref _pins, BlockPins.Closed, null) is { } pins) pins.Close();
        else NativeAllocator.Free((void*)address);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private nint LiveAddress()
    {
        nint address = Volatile.Read(ref _address);
        if (address == 0) ThrowHelper.ThrowDisposed(nameof(NativeBuffer<T>));
        return address;
    }
}
