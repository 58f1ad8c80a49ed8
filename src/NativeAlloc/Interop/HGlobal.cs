using System.Runtime.InteropServices;
using System.Text;

namespace NativeAlloc;

/// <summary>
/// The twin of <see cref="Marshal"/>'s <c>HGlobal</c> members: change the class name and nothing else. Pointers of the
/// two must not be mixed.
/// </summary>
/// <remarks>All members may be called from any thread.</remarks>
public static unsafe class HGlobal
{
    /// <summary>Allocates unmanaged memory; what it holds is undefined.</summary>
    /// <param name="cb">Bytes; 0 gives a unique pointer that can be freed.</param>
    /// <returns>The block, at a multiple of 16.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory; a negative number counts as such, as it
    /// does with <see cref="Marshal"/>.</exception>
    public static nint AllocHGlobal(int cb) => AllocHGlobal((nint)cb);

    /// <inheritdoc cref="AllocHGlobal(int)"/>
    public static nint AllocHGlobal(nint cb) => (nint)NativeAllocator.Alloc(unchecked((nuint)cb));

    /// <summary>Changes the size of a block; what it held is kept.</summary>
    /// <param name="pv">The block; 0 allocates a new one.</param>
    /// <param name="cb">Bytes.</param>
    /// <returns>The block, which may have moved.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory; the old block stands.</exception>
    /// <exception cref="ArgumentException"><paramref name="pv"/> is not a block of this library.</exception>
    public static nint ReAllocHGlobal(nint pv, nint cb) =>
        (nint)NativeAllocator.Realloc((void*)pv, unchecked((nuint)cb));

    /// <summary>Frees a block.</summary>
    /// <param name="hglobal">The block; 0 does nothing.</param>
    /// <exception cref="ArgumentException">The pointer is not a block of this library, where that can be seen at the
    /// call.</exception>
    public static void FreeHGlobal(nint hglobal) => NativeAllocator.Free((void*)hglobal);

    /// <summary>
    /// Copies a string to unmanaged memory in the system's ANSI encoding (UTF-8 outside Windows), with a zero at its
    /// end.
    /// </summary>
    /// <param name="s">The string; null gives 0.</param>
    /// <returns>The copy, to be freed by <see cref="FreeHGlobal"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint StringToHGlobalAnsi(string? s)
    {
        if (s == null) return 0;
        if (!OperatingSystem.IsWindows()) return StringToHGlobalUTF8(s);
        // Only Marshal knows the ANSI code page: it makes the copy, and the copy is copied.
        nint theirs = Marshal.StringToHGlobalAnsi(s);
        ReadOnlySpan<byte> text = MemoryMarshal.CreateReadOnlySpanFromNullTerminated((byte*)theirs);
        byte* copy = (byte*)NativeAllocator.Alloc((nuint)text.Length + 1);
        text.CopyTo(new Span<byte>(copy, text.Length));
        copy[text.Length] = 0;
        Marshal.FreeHGlobal(theirs);
        return (nint)copy;
    }

    /// <summary>Copies a string to unmanaged memory as UTF-16, with a zero at its end.</summary>
    /// <param name="s">The string; null gives 0.</param>
    /// <returns>The copy, to be freed by <see cref="FreeHGlobal"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint StringToHGlobalUni(string? s)
    {
        if (s == null) return 0;
        char* copy = (char*)NativeAllocator.Alloc((nuint)s.Length + 1, sizeof(char));
        s.CopyTo(new Span<char>(copy, s.Length));
        copy[s.Length] = '\0';
        return (nint)copy;
    }

    /// <summary>Copies a string to unmanaged memory as UTF-8, with a zero at its end.</summary>
    /// <param name="s">The string; null gives 0.</param>
    /// <returns>The copy, to be freed by <see cref="FreeHGlobal"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint StringToHGlobalUTF8(string? s)
    {
        if (s == null) return 0;
        int length = Encoding.UTF8.GetByteCount(s);
        byte* copy = (byte*)NativeAllocator.Alloc((nuint)length + 1);
        Encoding.UTF8.GetBytes(s, new Span<byte>(copy, length));
        copy[length] = 0;
        return (nint)copy;
    }
}
