using System.Runtime.InteropServices;
using System.Security;
using System.Text;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// The twin of <see cref="Marshal"/>'s <c>HGlobal</c> members: change the class name and nothing else. Pointers of the
/// two must not be mixed.
/// </summary>
/// <remarks>
/// <para>All members may be called from any thread.</para>
/// <para>The families of <see cref="Marshal.AllocCoTaskMem"/> and of BSTR have no twin here, as their memory is made to
/// be freed by others: COM and the runtime's own marshalling free it by functions of the system.</para>
/// </remarks>
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
    public static nint ReAllocHGlobal(nint pv, nint cb)
    {
        try
        {
            return (nint)NativeAllocator.Realloc((void*)pv, unchecked((nuint)cb));
        }
        catch (ArgumentException error)
        {
            ThrowHelper.ThrowRenamed(error, nameof(pv));
            throw;
        }
    }

    /// <summary>Frees a block.</summary>
    /// <param name="hglobal">The block; 0 does nothing.</param>
    /// <exception cref="ArgumentException">The pointer is not a block of this library, where that can be seen at the
    /// call.</exception>
    public static void FreeHGlobal(nint hglobal)
    {
        try
        {
            NativeAllocator.Free((void*)hglobal);
        }
        catch (ArgumentException error)
        {
            ThrowHelper.ThrowRenamed(error, nameof(hglobal));
        }
    }

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
        try
        {
            return CopyBytes((byte*)theirs, CountBytes((byte*)theirs, s));
        }
        finally
        {
            Marshal.FreeHGlobal(theirs);
        }
    }

    /// <summary>Copies a string to unmanaged memory as UTF-16, with a zero at its end.</summary>
    /// <param name="s">The string; null gives 0.</param>
    /// <returns>The copy, to be freed by <see cref="FreeHGlobal"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint StringToHGlobalUni(string? s) => s == null ? 0 : CopyCharacters(s);

    /// <summary>
    /// Copies a string to unmanaged memory in the system's own encoding, with a zero at its end: UTF-16 on Windows,
    /// UTF-8 elsewhere.
    /// </summary>
    /// <param name="s">The string; null gives 0.</param>
    /// <returns>The copy, to be freed by <see cref="FreeHGlobal"/>.</returns>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint StringToHGlobalAuto(string? s) =>
        OperatingSystem.IsWindows() ? StringToHGlobalUni(s) : StringToHGlobalUTF8(s);

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

    /// <summary>
    /// Copies a secure string to unmanaged memory in the system's ANSI encoding (UTF-8 outside Windows), with a zero at
    /// its end.
    /// </summary>
    /// <param name="s">The string.</param>
    /// <returns>The copy, to be freed by <see cref="ZeroFreeGlobalAllocAnsi"/>.</returns>
    /// <exception cref="ArgumentNullException">There is no string.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint SecureStringToGlobalAllocAnsi(SecureString s)
    {
        ArgumentNullException.ThrowIfNull(s);
        using SecureString text = s.Copy(); // another thread may append to the string
        // Only Marshal can read it: it makes the copies, and the copy is copied.
        nint characters = Marshal.SecureStringToGlobalAllocUnicode(text), theirs = 0;
        nuint bytes = 0;
        try
        {
            theirs = Marshal.SecureStringToGlobalAllocAnsi(text);
            bytes = CountBytes((byte*)theirs, new ReadOnlySpan<char>((void*)characters, text.Length));
            return CopyBytes((byte*)theirs, bytes);
        }
        finally
        {
            FreeTheirs(theirs, bytes);
            FreeTheirs(characters, (nuint)text.Length * sizeof(char));
        }
    }

    /// <summary>Copies a secure string to unmanaged memory as UTF-16, with a zero at its end.</summary>
    /// <param name="s">The string.</param>
    /// <returns>The copy, to be freed by <see cref="ZeroFreeGlobalAllocUnicode"/>.</returns>
    /// <exception cref="ArgumentNullException">There is no string.</exception>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public static nint SecureStringToGlobalAllocUnicode(SecureString s)
    {
        ArgumentNullException.ThrowIfNull(s);
        using SecureString text = s.Copy(); // another thread may append to the string
        nint theirs = Marshal.SecureStringToGlobalAllocUnicode(text);
        try
        {
            return CopyCharacters(new ReadOnlySpan<char>((void*)theirs, text.Length));
        }
        finally
        {
            FreeTheirs(theirs, (nuint)text.Length * sizeof(char));
        }
    }

    /// <summary>Frees a block after all of it was set to zero, so that what it held cannot be read any more.</summary>
    /// <param name="s">The block; 0 does nothing.</param>
    /// <exception cref="ArgumentException">The pointer is not a block of this library.</exception>
    public static void ZeroFreeGlobalAllocAnsi(nint s) => ZeroFree(s);

    /// <inheritdoc cref="ZeroFreeGlobalAllocAnsi"/>
    public static void ZeroFreeGlobalAllocUnicode(nint s) => ZeroFree(s);

    // All of the block: what stands behind the end of the string may be a secret, too.
    private static void ZeroFree(nint s)
    {
        try
        {
            NativeAllocator.Clear((void*)s, NativeAllocator.UsableSize((void*)s));
            NativeAllocator.Free((void*)s);
        }
        catch (ArgumentException error)
        {
            ThrowHelper.ThrowRenamed(error, nameof(s));
        }
    }

    // All of Marshal's copy of a secret. Marshal's own members set it to zero only up to the first zero in it.
    private static void FreeTheirs(nint theirs, nuint bytes)
    {
        NativeAllocator.Clear((void*)theirs, bytes);
        Marshal.FreeHGlobal(theirs);
    }

    // Bytes of Marshal's copy of a text: it has a zero for each that the text has, and one at its end.
    private static nuint CountBytes(byte* theirs, ReadOnlySpan<char> text)
    {
        nuint bytes = 0;
        for (int zeros = text.Count('\0') + 1; zeros != 0; bytes++)
            if (theirs[bytes] == 0) zeros--;
        return bytes;
    }

    private static nint CopyBytes(byte* theirs, nuint bytes)
    {
        void* copy = NativeAllocator.Alloc(bytes);
        NativeAllocator.Copy(theirs, copy, bytes);
        return (nint)copy;
    }

    private static nint CopyCharacters(ReadOnlySpan<char> text)
    {
        char* copy = (char*)NativeAllocator.Alloc((nuint)text.Length + 1, sizeof(char));
        text.CopyTo(new Span<char>(copy, text.Length));
        copy[text.Length] = '\0';
        return (nint)copy;
    }
}
