using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;

namespace NativeAlloc;

/// <summary>
/// Marshals an array: <c>[MarshalUsing(typeof(NativeArrayMarshaller&lt;,&gt;))]</c> at a parameter of a
/// <c>[LibraryImport]</c> method. A short one goes to the caller's stack, a longer one to a block of
/// <see cref="NativeAllocator"/>.
/// </summary>
/// <typeparam name="T">The type of the elements.</typeparam>
/// <typeparam name="TUnmanagedElement">What native code gets for an element.</typeparam>
/// <remarks>
/// From any thread. What the native side returns is freed by <see cref="NativeAllocator.Free"/>: it must come from
/// <see cref="NativeCallbacks"/>.
/// </remarks>
[ContiguousCollectionMarshaller]
[CustomMarshaller(typeof(CustomMarshallerAttribute.GenericPlaceholder[]), MarshalMode.Default,
    typeof(NativeArrayMarshaller<,>))]
[CustomMarshaller(typeof(CustomMarshallerAttribute.GenericPlaceholder[]), MarshalMode.ManagedToUnmanagedIn,
    typeof(NativeArrayMarshaller<,>.ManagedToUnmanagedIn))]
[SuppressMessage("Design", "CA1000", Justification = "The shape that the generator asks for.")]
public static unsafe class NativeArrayMarshaller<T, TUnmanagedElement>
    where TUnmanagedElement : unmanaged
{
    /// <summary>Allocates a block for the elements of an array.</summary>
    /// <param name="managed">The array; null gives null.</param>
    /// <param name="numElements">Its length.</param>
    /// <returns>The block.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static TUnmanagedElement* AllocateContainerForUnmanagedElements(T[]? managed, out int numElements)
    {
        numElements = managed?.Length ?? 0;
        return managed == null ? null : NativeAllocator.Alloc<TUnmanagedElement>((nuint)numElements);
    }

    /// <summary>The elements to marshal.</summary>
    /// <param name="managed">The array, or null.</param>
    /// <returns>The elements.</returns>
    public static ReadOnlySpan<T> GetManagedValuesSource(T[]? managed) => managed;

    /// <summary>Where to marshal to.</summary>
    /// <param name="unmanaged">The block, or null.</param>
    /// <param name="numElements">Number of elements.</param>
    /// <returns>Their places.</returns>
    public static Span<TUnmanagedElement> GetUnmanagedValuesDestination(TUnmanagedElement* unmanaged,
        int numElements) => new(unmanaged, unmanaged == null ? 0 : numElements);

    /// <summary>Makes an array for elements that come from native code.</summary>
    /// <param name="unmanaged">The block, or null.</param>
    /// <param name="numElements">Number of elements.</param>
    /// <returns>The array; null for null.</returns>
    public static T[]? AllocateContainerForManagedElements(TUnmanagedElement* unmanaged, int numElements) =>
        unmanaged == null ? null : new T[numElements];

    /// <summary>Where to marshal elements of native code to.</summary>
    /// <param name="managed">The array, or null.</param>
    /// <returns>Their places.</returns>
    public static Span<T> GetManagedValuesDestination(T[]? managed) => managed;

    /// <summary>The elements that come from native code.</summary>
    /// <param name="unmanagedValue">The block, or null.</param>
    /// <param name="numElements">Number of elements.</param>
    /// <returns>The elements.</returns>
    public static ReadOnlySpan<TUnmanagedElement> GetUnmanagedValuesSource(TUnmanagedElement* unmanagedValue,
        int numElements) => new(unmanagedValue, unmanagedValue == null ? 0 : numElements);

    /// <summary>Frees a block.</summary>
    /// <param name="unmanaged">The block; null does nothing.</param>
    public static void Free(TUnmanagedElement* unmanaged) => NativeAllocator.Free(unmanaged);

    /// <summary>An array on its way to native code, for the time of a call.</summary>
    public ref struct ManagedToUnmanagedIn
    {
        private T[]? _array;
        private TUnmanagedElement* _elements;
        private bool _isBlock;

        /// <summary>Elements that the caller has on its stack for the array.</summary>
        public static int BufferSize => Math.Max(1, 512 / sizeof(TUnmanagedElement));

        /// <summary>Takes the buffer for the elements, or a block where there are more.</summary>
        /// <param name="array">The array; null gives null.</param>
        /// <param name="buffer">Memory of the caller's that does not move.</param>
        /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
        public void FromManaged(T[]? array, Span<TUnmanagedElement> buffer)
        {
            _array = array;
            if (array == null) return;
            _isBlock = array.Length > buffer.Length;
            _elements = _isBlock
                ? NativeAllocator.Alloc<TUnmanagedElement>((nuint)array.Length)
                : (TUnmanagedElement*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer));
        }

        /// <summary>The elements to marshal.</summary>
        /// <returns>The elements.</returns>
        public readonly ReadOnlySpan<T> GetManagedValuesSource() => _array;

        /// <summary>Where to marshal to.</summary>
        /// <returns>The places of the elements.</returns>
        public readonly Span<TUnmanagedElement> GetUnmanagedValuesDestination() => new(_elements, _array?.Length ?? 0);

        /// <summary>What native code gets.</summary>
        /// <returns>The first element; null for no array.</returns>
        public readonly TUnmanagedElement* ToUnmanaged() => _elements;

        /// <summary>Frees the block, if there is one.</summary>
        public readonly void Free()
        {
            if (_isBlock) NativeAllocator.Free(_elements);
        }
    }
}
