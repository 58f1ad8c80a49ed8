using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc;

/// <summary>
/// The owner of native memory in one scope: <c>using NativeSpan&lt;int&gt; numbers = NativeSpan&lt;int&gt;.Rent(n);</c>
/// is as a <c>stackalloc</c> of any size, and makes no managed object.
/// </summary>
/// <typeparam name="T">The type of the elements.</typeparam>
/// <remarks>
/// It belongs to one thread, as every <c>ref struct</c>. Do not copy it: each copy that is disposed of would free the
/// memory once more. After <see cref="Dispose"/> no span of it may be used.
/// </remarks>
[SuppressMessage("Design", "CA1000", Justification = "A value is made by its type: NativeSpan<int>.Rent(n).")]
public unsafe ref struct NativeSpan<T>
    where T : unmanaged
{
    private T* _pointer;
    private int _length;

    /// <summary>Takes memory.</summary>
    /// <param name="length">Number of elements, 0 or more.</param>
    /// <param name="zeroed">The elements are zero; else what they hold is undefined.</param>
    /// <returns>The owner of the memory.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The length is negative.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeSpan<T> Rent(int length, bool zeroed = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        nuint bytes = (nuint)length * (nuint)sizeof(T);
        return new NativeSpan<T>
        {
            _pointer = (T*)(zeroed ? NativeAllocator.AllocZeroed(bytes) : NativeAllocator.Alloc(bytes)),
            _length = length,
        };
    }

    /// <summary>Number of elements; 0 after <see cref="Dispose"/>.</summary>
    public readonly int Length => _length;

    /// <summary>Where the first element is; null after <see cref="Dispose"/>.</summary>
    public readonly T* Pointer => _pointer;

    /// <summary>The elements; none after <see cref="Dispose"/>.</summary>
    public readonly Span<T> Span => new(_pointer, _length);

    /// <summary>An element.</summary>
    /// <param name="index">Its number, from 0 on.</param>
    /// <returns>The element.</returns>
    /// <exception cref="IndexOutOfRangeException">There is no such element.</exception>
    public readonly ref T this[int index] => ref Span[index];

    /// <summary>Frees the memory. A second call does nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Dispose()
    {
        T* pointer = _pointer;
        _pointer = null;
        _length = 0;
        NativeAllocator.Free(pointer);
    }
}
