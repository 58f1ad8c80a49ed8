using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeAlloc.Os;

/// <summary>
/// Makes sure that the layers can be set up in one go: loads the assemblies that they need, before the first of them
/// begins.
/// </summary>
/// <remarks>
/// The runtime loads an assembly when it compiles the first method that needs it, and calls the program's
/// <see cref="AppDomain.AssemblyLoad"/> handlers on that thread at once. A handler that allocates would then come back
/// into a layer that is half set up, or to a lock that its own thread holds. After <see cref="Begin"/> no layer loads
/// anything. A handler that runs inside of it finds nothing begun yet, and begins by itself.
/// </remarks>
internal static class Startup
{
    /// <summary>1 once all are loaded. Any thread, by Volatile; several may load them at the same time.</summary>
    private static int s_isDone;

    /// <summary>To be called by every member of the library's face that can be the first to use a layer.</summary>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    /// <exception cref="OutOfMemoryException">The managed heap is full; nothing has been set up, and a later call may
    /// do it.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Begin()
    {
        if (Volatile.Read(ref s_isDone) == 0) LoadAssemblies();
    }

    private const int SetupBytes = 256 * 1024;

    // One type of each assembly that the library refers to, without those that only reports need, and a machine of
    // several nodes: loading one takes a millisecond.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void LoadAssemblies()
    {
        Platform.ThrowIfUnsupported();
        Touch(typeof(Thread));
        Touch(typeof(Barrier));
        Touch(typeof(MemoryExtensions));
        Touch(typeof(NativeMemory));
        Touch(typeof(Vector128));
        // What the static constructors of the layers will take of the managed heap. Where it is full, this fails
        // instead of one of them, which would fail for good.
        GC.KeepAlive(GC.AllocateUninitializedArray<byte>(SetupBytes, pinned: true));
        Volatile.Write(ref s_isDone, 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch(Type type) => GC.KeepAlive(type);
}
