using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <summary>
/// Makes sure that the layers can be set up in one go, before the first of them begins: loads the assemblies that they
/// need, and looks whether there is room for what they set up.
/// </summary>
/// <remarks>
/// <para>A layer is set up by its static constructor, which runs once. What it finds then is so for ever: a constant
/// of the fast paths. So where the managed heap is full, or the system refuses addresses, nothing begins, and a later
/// call tries again.</para>
/// <para>The runtime loads an assembly when it compiles the first method that needs it, and calls the program's
/// <see cref="AppDomain.AssemblyLoad"/> handlers on that thread at once. A handler that allocates would then come back
/// into a layer that is half set up, or to a lock that its own thread holds. After <see cref="Begin"/> no layer loads
/// anything. A handler that runs inside of it finds nothing begun yet, and begins by itself.</para>
/// </remarks>
internal static class Startup
{
    /// <summary>1 once the layers may begin. Any thread, by Volatile; several may look at the same time.</summary>
    private static int s_isDone;

    /// <summary>To be called by every member of the library's face that can be the first to use a layer.</summary>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    /// <exception cref="OutOfMemoryException">The managed heap is full, or the system refuses addresses; nothing has
    /// been set up, and a later call may do it.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Begin()
    {
        if (Volatile.Read(ref s_isDone) == 0) Prepare();
    }

    /// <summary>
    /// The same for a member that is given a pointer: before anything was set up, none can be a block of this library.
    /// </summary>
    /// <param name="ptr">The pointer.</param>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    /// <exception cref="ArgumentException">There is no room for the layers, so the pointer is foreign.</exception>
    /// <exception cref="OutOfMemoryException">As for <see cref="Begin"/>, where the pointer is null.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static unsafe void BeginWith(void* ptr)
    {
        if (Volatile.Read(ref s_isDone) == 0) PrepareWith(ptr);
    }

    /// <summary>
    /// The same for a member that needs no memory. False where there is no room for the layers: then nothing was ever
    /// allocated.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    internal static bool TryBegin() => Volatile.Read(ref s_isDone) != 0 || TryPrepare();

    // What the static constructors take of the managed heap; of addresses, of which the least that the regions are
    // content with is a quarter (see AddressShare); and of what can be written to, for tables.
    private const int SetupBytes = 256 * 1024, AddressBytes = 16 << 20, TableBytes = 4 << 20;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static unsafe void PrepareWith(void* ptr)
    {
        if (ptr == null) Prepare();
        else if (!TryPrepare()) ThrowHelper.ThrowForeign(ptr);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryPrepare()
    {
        try
        {
            Prepare();
            return true;
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
    }

    // One type of each assembly that the library refers to, without those that only reports need, and a machine of
    // several nodes: loading one takes a millisecond.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Prepare()
    {
        Platform.ThrowIfUnsupported();
        Touch(typeof(Thread));
        Touch(typeof(Barrier));
        Touch(typeof(MemoryExtensions));
        Touch(typeof(NativeMemory));
        Touch(typeof(Vector128));
        // These fail instead of a static constructor, which would fail for good.
        GC.KeepAlive(GC.AllocateUninitializedArray<byte>(SetupBytes, pinned: true));
        bool hasAddresses = VirtualMemory.TryReserve(AddressBytes, VirtualMemory.PageBytes, out nuint address);
        bool hasRoom = hasAddresses && VirtualMemory.TryCommit(address, TableBytes);
        if (hasAddresses) VirtualMemory.Release(address, AddressBytes);
        if (!hasRoom) ThrowHelper.ThrowCannotBegin(AddressBytes, TableBytes);
        Volatile.Write(ref s_isDone, 1);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch(Type type) => GC.KeepAlive(type);
}
