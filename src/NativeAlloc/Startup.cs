using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using NativeAlloc.Common;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc;

/// <summary>
/// Sets up the layers that reserve addresses, in one go. Before that it loads the assemblies that they need, and looks
/// whether there is room for what they reserve.
/// </summary>
/// <remarks>
/// <para>A layer is set up by its static constructor, which runs once. What it finds then is so for ever: a constant
/// of the fast paths. So where the managed heap is full, or the system refuses addresses, nothing begins, and a later
/// call tries again. Where there is room, both regions are reserved in the same call, and not at a later and perhaps
/// worse moment.</para>
/// <para>The runtime loads an assembly when it compiles the first method that needs it, and calls the program's
/// <see cref="AppDomain.AssemblyLoad"/> handlers on that thread at once. A handler that allocates would then come back
/// into a layer that is half set up, or to a lock that its own thread holds. After <see cref="Begin"/> no layer loads
/// anything. A handler that runs inside of it finds nothing begun yet, and begins by itself.</para>
/// </remarks>
internal static class Startup
{
    /// <summary>1 once the layers have begun. Any thread, by Volatile; several may look at the same time.</summary>
    private static int s_isDone;

    /// <summary>Whether the layers have begun.</summary>
    internal static bool IsDone => Volatile.Read(ref s_isDone) != 0;

    /// <summary>To be called by every member of the library's face that can be the first to use a layer.</summary>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    /// <exception cref="OutOfMemoryException">The managed heap is full, or the system refuses addresses; nothing has
    /// been set up, and a later call may do it.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Begin()
    {
        if (!IsDone) Prepare();
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
        if (!IsDone) PrepareWith(ptr);
    }

    /// <summary>
    /// The same for a member that needs no memory. False where there is no room for the layers: then nothing was ever
    /// allocated.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">The library does not run on this system.</exception>
    internal static bool TryBegin() => IsDone || TryPrepare();

    // What the static constructors take of the managed heap; and of addresses: the least that a region is content with
    // is 4 MiB, with tables of as much, and a quarter of what is left (see AddressShare).
    private const int SetupBytes = 256 * 1024, AddressBytes = 32 << 20;

    // They commit some tables, each of which is a mapping of its own, with a hole behind it.
    internal const int Tables = 8;

    private const int TableBytes = 512 * 1024;

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
        if (!HasRoom()) ThrowHelper.ThrowCannotBegin(AddressBytes, Tables * TableBytes);
        _ = LinearRegion.PageCount;
        _ = VmallocSpace.Bytes;
        Volatile.Write(ref s_isDone, 1);
    }

    private static bool HasRoom()
    {
        if (!VirtualMemory.TryReserve(AddressBytes, VirtualMemory.PageBytes, out nuint address)) return false;
        int table = 0;
        while (table < Tables && VirtualMemory.TryCommit(address + (nuint)table * 2 * TableBytes, TableBytes)) table++;
        VirtualMemory.Release(address, AddressBytes);
        return table == Tables;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Touch(Type type) => GC.KeepAlive(type);
}
