using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc;

/// <content> What <see cref="NativeMemory"/> has besides allocation, so that
/// <c>using NativeMemory = NativeAlloc.NativeAllocator;</c> is all that a program has to change. The memory may be
/// anybody's. </content>
public static unsafe partial class NativeAllocator
{
    /// <summary>Sets bytes to zero.</summary>
    /// <param name="ptr">The first of them; any address where <paramref name="byteCount"/> is 0.</param>
    /// <param name="byteCount">How many.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Clear(void* ptr, nuint byteCount) => NativeMemory.Clear(ptr, byteCount);

    /// <summary>
    /// Copies bytes. The two ranges may overlap: the destination holds afterwards what the source held before.
    /// </summary>
    /// <param name="source">Where from.</param>
    /// <param name="destination">Where to.</param>
    /// <param name="byteCount">How many; with 0 neither address is touched.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy(void* source, void* destination, nuint byteCount) =>
        NativeMemory.Copy(source, destination, byteCount);

    /// <summary>Sets bytes to a value.</summary>
    /// <param name="ptr">The first of them; any address where <paramref name="byteCount"/> is 0.</param>
    /// <param name="byteCount">How many.</param>
    /// <param name="value">What each is set to.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fill(void* ptr, nuint byteCount, byte value) => NativeMemory.Fill(ptr, byteCount, value);
}
