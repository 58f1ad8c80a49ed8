using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.InteropServices.Marshalling;
using System.Text;

namespace NativeAlloc;

/// <summary>
/// Marshals a string as UTF-8 with a zero at its end: <c>[MarshalUsing(typeof(NativeUtf8StringMarshaller))]</c> at a
/// parameter of a <c>[LibraryImport]</c> method. A short string goes to the caller's stack, a longer one to a block of
/// <see cref="NativeAllocator"/>.
/// </summary>
/// <remarks>
/// From any thread. What the native side returns, or changes in a parameter by reference, is freed by
/// <see cref="NativeAllocator.Free"/>: it must come from <see cref="NativeCallbacks"/>.
/// </remarks>
[CustomMarshaller(typeof(string), MarshalMode.Default, typeof(NativeUtf8StringMarshaller))]
[CustomMarshaller(typeof(string), MarshalMode.ManagedToUnmanagedIn, typeof(ManagedToUnmanagedIn))]
public static unsafe class NativeUtf8StringMarshaller
{
    /// <summary>Copies a string to a block of the allocator.</summary>
    /// <param name="managed">The string; null gives null.</param>
    /// <returns>The block, for <see cref="Free"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static byte* ConvertToUnmanaged(string? managed) => (byte*)HGlobal.StringToHGlobalUTF8(managed);

    /// <summary>Makes a string of bytes that end with a zero.</summary>
    /// <param name="unmanaged">The bytes; null gives null.</param>
    /// <returns>The string.</returns>
    public static string? ConvertToManaged(byte* unmanaged) => Marshal.PtrToStringUTF8((nint)unmanaged);

    /// <summary>Frees a block.</summary>
    /// <param name="unmanaged">The block; null does nothing.</param>
    public static void Free(byte* unmanaged) => NativeAllocator.Free(unmanaged);

    /// <summary>A string on its way to native code, for the time of a call.</summary>
    public ref struct ManagedToUnmanagedIn
    {
        private byte* _bytes;
        private bool _isBlock;

        /// <summary>Bytes that the caller has on its stack for the string.</summary>
        public static int BufferSize => 256;

        /// <summary>Copies the string to the buffer, or to a block where it is longer.</summary>
        /// <param name="managed">The string; null gives null.</param>
        /// <param name="buffer">Memory of the caller's that does not move.</param>
        /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
        public void FromManaged(string? managed, Span<byte> buffer)
        {
            if (managed == null) return;
            // Up to three bytes a character: where those fit, nothing has to be counted.
            _isBlock = (managed.Length >= buffer.Length / 3) && Encoding.UTF8.GetByteCount(managed) >= buffer.Length;
            if (_isBlock)
            {
                _bytes = ConvertToUnmanaged(managed);
                return;
            }
            int length = Encoding.UTF8.GetBytes(managed, buffer);
            buffer[length] = 0;
            _bytes = (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer));
        }

        /// <summary>What native code gets.</summary>
        /// <returns>The bytes; null for no string.</returns>
        public readonly byte* ToUnmanaged() => _bytes;

        /// <summary>Frees the block, if there is one.</summary>
        public readonly void Free()
        {
            if (_isBlock) NativeAllocator.Free(_bytes);
        }
    }
}

/// <summary>
/// Marshals a string as UTF-16 with a zero at its end, as <see cref="NativeUtf8StringMarshaller"/> does as UTF-8.
/// </summary>
/// <remarks>As <see cref="NativeUtf8StringMarshaller"/>.</remarks>
[CustomMarshaller(typeof(string), MarshalMode.Default, typeof(NativeUtf16StringMarshaller))]
[CustomMarshaller(typeof(string), MarshalMode.ManagedToUnmanagedIn, typeof(ManagedToUnmanagedIn))]
public static unsafe class NativeUtf16StringMarshaller
{
    /// <inheritdoc cref="NativeUtf8StringMarshaller.ConvertToUnmanaged"/>
    public static ushort* ConvertToUnmanaged(string? managed) => (ushort*)HGlobal.StringToHGlobalUni(managed);

    /// <summary>Makes a string of characters that end with a zero.</summary>
    /// <param name="unmanaged">The characters; null gives null.</param>
    /// <returns>The string.</returns>
    public static string? ConvertToManaged(ushort* unmanaged) => Marshal.PtrToStringUni((nint)unmanaged);

    /// <inheritdoc cref="NativeUtf8StringMarshaller.Free"/>
    public static void Free(ushort* unmanaged) => NativeAllocator.Free(unmanaged);

    /// <inheritdoc cref="NativeUtf8StringMarshaller.ManagedToUnmanagedIn"/>
    public ref struct ManagedToUnmanagedIn
    {
        private ushort* _characters;
        private bool _isBlock;

        /// <summary>Characters that the caller has on its stack for the string.</summary>
        public static int BufferSize => 128;

        /// <inheritdoc cref="NativeUtf8StringMarshaller.ManagedToUnmanagedIn.FromManaged"/>
        public void FromManaged(string? managed, Span<ushort> buffer)
        {
            if (managed == null) return;
            _isBlock = managed.Length >= buffer.Length;
            if (_isBlock)
            {
                _characters = ConvertToUnmanaged(managed);
                return;
            }
            managed.CopyTo(MemoryMarshal.Cast<ushort, char>(buffer));
            buffer[managed.Length] = 0;
            _characters = (ushort*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(buffer));
        }

        /// <inheritdoc cref="NativeUtf8StringMarshaller.ManagedToUnmanagedIn.ToUnmanaged"/>
        public readonly ushort* ToUnmanaged() => _characters;

        /// <inheritdoc cref="NativeUtf8StringMarshaller.ManagedToUnmanagedIn.Free"/>
        public readonly void Free()
        {
            if (_isBlock) NativeAllocator.Free(_characters);
        }
    }
}

/// <summary>
/// Marshals a string in the system's ANSI encoding (UTF-8 outside Windows) with a zero at its end, in a block of
/// <see cref="NativeAllocator"/>.
/// </summary>
/// <remarks>As <see cref="NativeUtf8StringMarshaller"/>.</remarks>
[CustomMarshaller(typeof(string), MarshalMode.Default, typeof(NativeAnsiStringMarshaller))]
public static unsafe class NativeAnsiStringMarshaller
{
    /// <inheritdoc cref="NativeUtf8StringMarshaller.ConvertToUnmanaged"/>
    public static byte* ConvertToUnmanaged(string? managed) => (byte*)HGlobal.StringToHGlobalAnsi(managed);

    /// <inheritdoc cref="NativeUtf8StringMarshaller.ConvertToManaged"/>
    public static string? ConvertToManaged(byte* unmanaged) => Marshal.PtrToStringAnsi((nint)unmanaged);

    /// <inheritdoc cref="NativeUtf8StringMarshaller.Free"/>
    public static void Free(byte* unmanaged) => NativeAllocator.Free(unmanaged);
}
