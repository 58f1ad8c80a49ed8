using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Threads;

namespace NativeAlloc;

/// <summary>
/// Lets an <see cref="AssemblyLoadContext"/> that this library was loaded into be unloaded, and gives its addresses
/// back then. Nothing of this is made in a context that stays.
/// </summary>
/// <remarks>
/// <para>The decay's thread keeps the context alive, as every thread does whose code is in it. Once the context is to
/// be unloaded it therefore ends when there is nothing to give back, and is made anew where there is something again:
/// code of the context may go on for as long as it wants.</para>
/// <para>A finalizer tells that no code can call the library any more. Blocks that are live then may be in use by
/// native code or by another context, and keep everything where it is; objects that free theirs in finalizers of their
/// own get their turn before. The finalizer makes no managed memory and lets no exception out.</para>
/// </remarks>
internal sealed class LibraryContext
{
    /// <summary>1 once somebody has looked. By Interlocked.</summary>
    private static int s_hasLooked;

    /// <summary>Keeps the only instance until the context goes.</summary>
    private static LibraryContext? s_instance;

    /// <summary>Nothing was live the last time. On the finalizer's thread only.</summary>
    private bool _wasEmpty;

    private LibraryContext()
    {
    }

    ~LibraryContext()
    {
        try
        {
            if (StatisticsTotals.Read().LiveBlocks != 0)
            {
                _wasEmpty = false;
            }
            else if (_wasEmpty)
            {
                ReleaseAll();
                return;
            }
            else
            {
                // Other finalizers of the same collection may come after this one, and use the library for a moment.
                _wasEmpty = true;
            }
            GC.ReRegisterForFinalize(this);
        }
        catch (Exception)
        {
            // The addresses stay reserved: they cost no memory.
        }
    }

    /// <summary>To be called when a thread first uses the library. Throws nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Begin()
    {
        if (Volatile.Read(ref s_hasLooked) == 0) Look();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Look()
    {
        if (Interlocked.Exchange(ref s_hasLooked, 1) != 0) return;
        try
        {
            if (typeof(LibraryContext).Assembly.IsCollectible) Watch();
        }
        catch (OutOfMemoryException)
        {
            Volatile.Write(ref s_hasLooked, 0); // the managed heap is full: the next thread looks again
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Watch()
    {
        Volatile.Write(ref s_instance, new LibraryContext());
        AssemblyLoadContext? context = AssemblyLoadContext.GetLoadContext(typeof(LibraryContext).Assembly);
        if (context != null) context.Unloading += static _ => DecayThread.EndWhenIdle();
    }

    private static void ReleaseAll()
    {
        ThreadRegistry.FreeHandles();
        if (HighRegion.File >= 0) VirtualMemory.CloseFile(HighRegion.File);
        while (Reservations.TryTake(out nuint address, out nuint bytes)) VirtualMemory.Release(address, bytes);
    }
}
