using System.Diagnostics;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// Takes the calling thread's stack by following frame pointers: on Linux the JIT keeps one in every frame. It makes no
/// managed object, and takes some nanoseconds a frame. Native frames without frame pointers end the walk: all that is
/// read lies between the caller's frame and the stack's end.
/// </summary>
internal static unsafe class StackWalker
{
    internal const int MostFrames = 64;

    /// <summary>Code that returns its caller's frame pointer; 0 where there can be none. Set once.</summary>
    private static readonly nuint s_readFramePointer = MakeReader();

    /// <summary>The end of the thread's stack; 0 before it was asked for. Owner thread only.</summary>
    [ThreadStatic]
    internal static nuint t_stackEnd;

    /// <summary>Whether stacks can be taken here.</summary>
    internal static bool IsAble => s_readFramePointer != 0;

    /// <summary>
    /// Writes the return addresses of the calling method's callers, from the innermost on, and returns how many.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int Take(nint* frames)
    {
        if (s_readFramePointer == 0) return 0;
        if (t_stackEnd == 0) t_stackEnd = Platform.Current.ReadStackEnd();
        nuint end = t_stackEnd, at = ((delegate* unmanaged[SuppressGCTransition]<nuint>)s_readFramePointer)();
        int count = 0;
        while (count < MostFrames && at != 0 && at % (nuint)sizeof(nint) == 0 && at + 2 * (nuint)sizeof(nint) <= end)
        {
            nint address = ((nint*)at)[1];
            if (address == 0) break;
            frames[count++] = address;
            nuint next = *(nuint*)at;
            if (next <= at) break;
            at = next;
        }
        return count;
    }

    /// <summary>Tells stacks apart. Multiplied and folded, as for any short key.</summary>
    internal static ulong HashOf(ReadOnlySpan<nint> addresses)
    {
        ulong hash = (ulong)addresses.Length;
        foreach (nint address in addresses) hash = unchecked((hash ^ (ulong)address) * 0x9E3779B97F4A7C15) ^ hash >> 29;
        return hash ^ hash >> 32;
    }

    /// <summary>The method that an address of <see cref="Take"/> returns to; null for native code.</summary>
    internal static MethodBase? MethodAt(nint address)
    {
        try
        {
            return MethodAt(null, address - 1); // a return address is behind its call
        }
        catch (MissingMemberException)
        {
            return null; // a runtime that has no such method: native ahead-of-time compilation
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "GetMethodFromNativeIP")]
    private static extern MethodBase? MethodAt(StackFrame? type, nint address);

    // mov rax, rbp; ret. mov x0, x29; ret.
    private static nuint MakeReader()
    {
        ReadOnlySpan<byte> code = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => [0x48, 0x89, 0xE8, 0xC3],
            Architecture.Arm64 => [0xE0, 0x03, 0x1D, 0xAA, 0xC0, 0x03, 0x5F, 0xD6],
            _ => [],
        };
        return code.Length != 0 && Platform.Current.TryMakeCode(code, out nuint address) ? address : 0;
    }
}
