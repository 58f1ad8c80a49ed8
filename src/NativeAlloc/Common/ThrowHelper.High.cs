using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Common;

/// <content>Errors of high pages.</content>
internal static unsafe partial class ThrowHelper
{
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowNoHighPages(bool hasFile) =>
        throw new OutOfMemoryException("NativeAlloc could not get high pages, which alone can be mapped twice: the "
            + (hasFile ? "system has no memory for them" : "process has no descriptor left ('ulimit -n')") +
            ", may not call memfd_create, or may have no file so long ('ulimit -f'). Mend that, and try again.");

    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static void ThrowTooFewHighPages(uint wanted, uint most) =>
        throw new OutOfMemoryException(
            $"NativeAlloc could not get {wanted} high pages, which alone can be mapped twice: this process can have " +
            $"{most}, with those that are in use. Nothing was changed; free some, or set the option ReserveBytes to " +
            "more, of which they are a part.");
}
