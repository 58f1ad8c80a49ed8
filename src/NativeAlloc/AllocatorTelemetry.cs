using System.Buffers;
using System.Diagnostics.Tracing;
using System.Runtime.CompilerServices;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc;

/// <summary>
/// Makes what tools of .NET look for in a process: the <c>Meter</c> and the event source named <c>NativeAlloc</c>. No
/// allocation makes them: that takes milliseconds and loads an assembly, which runs handlers of users. The decay's
/// thread has them made at the end of its first period, and the profiler does when it is started.
/// </summary>
/// <remarks>
/// <para>They are made on a thread of their own, as code of users runs there: handlers of loaded assemblies, and
/// listeners that wait for an event source. Nothing of theirs can end that thread by an exception or hold up the
/// decay's.</para>
/// <para>The runtime ends a process whose memory runs out in the middle of its own work, as when it compiles a method
/// or loads a type. So nothing is made where the system does not have <see cref="RoomBytes"/> more for the process, or
/// where half of the managed heap is in use. The heap is looked at again when the making begins. What is left is a heap
/// that fills up in the milliseconds that the making takes.</para>
/// <para>It also ends a process in which a finalizer runs for the first time while the managed heap is full: its
/// thread then finds no memory for its own fields. What is made here leaves objects with finalizers behind, and the
/// heap may become full meanwhile. So the first of them is made on purpose, before all else (<see
/// cref="FirstFinalized"/>): the next collection sets the thread up. It comes before the heap is full, unless half of
/// the heap is filled faster than that thread begins to run.</para>
/// </remarks>
internal static class AllocatorTelemetry
{
    /// <summary>What the process must be able to get: several times what was seen to be used.</summary>
    private const nuint RoomBytes = 64 << 20;

    private const int StackBytes = 1 << 20;

    // How long a program that has not used an array pool yet may still do so: half a second.
    private const int MostLooks = 10, LookMilliseconds = 50;

    /// <summary>Where it goes wrong it is tried again, so often.</summary>
    private const int MostTries = 8;

    /// <summary>Tries so far; <see cref="MostTries"/> once all is made. By Interlocked and Volatile.</summary>
    private static int s_tries;

    /// <summary>1 while a thread makes them. By Interlocked and Volatile.</summary>
    private static int s_isMaking;

    /// <summary>The event source; null before it is made. Any thread, by Volatile.</summary>
    private static AllocatorEventSource? s_events;

    /// <summary>
    /// Has them made if they are not there yet, a little later. Throws nothing; a read where there is nothing to do.
    /// </summary>
    internal static void MakeOnce()
    {
        if (Volatile.Read(ref s_tries) >= MostTries || Interlocked.Exchange(ref s_isMaking, 1) != 0) return;
        try
        {
            if (HasManagedRoom() && IsWanted())
            {
                FirstFinalized.Drop();
                new Thread(Make, StackBytes) { IsBackground = true, Name = "NativeAlloc telemetry" }.UnsafeStart();
                return;
            }
        }
        catch (Exception)
        {
            // Most likely there is no memory for it: the next period tries again.
        }
        Volatile.Write(ref s_isMaking, 0);
    }

    // Counts as a try. The runtime keeps meters and event sources for good, and with them a context that is to be
    // unloaded.
    private static bool IsWanted()
    {
        Interlocked.Increment(ref s_tries);
        return !typeof(AllocatorTelemetry).Assembly.IsCollectible && HasRoom();
    }

    /// <summary>Whether nothing more will be made: both are there, or all tries went wrong.</summary>
    internal static bool IsMade => Volatile.Read(ref s_tries) >= MostTries && !IsMaking;

    /// <summary>Whether a thread makes them at this moment.</summary>
    internal static bool IsMaking => Volatile.Read(ref s_isMaking) != 0;

    private static void Make()
    {
        try
        {
            AwaitSourceOfPools();
            if (HasManagedRoom()) // which the program may have used meanwhile
            {
                // The event source of the array pools is made before that of this library: see AwaitSourceOfPools.
                ArrayPool<char>.Shared.Return(ArrayPool<char>.Shared.Rent(1));
                Volatile.Write(ref s_events, Volatile.Read(ref s_events) ?? new AllocatorEventSource());
                AllocatorMeter.Make();
                Volatile.Write(ref s_tries, MostTries);
            }
            else
            {
                Interlocked.Decrement(ref s_tries); // the next period tries again, as often as it takes
            }
        }
        catch (Exception)
        {
            // The next period tries again.
        }
        Volatile.Write(ref s_isMaking, 0);
    }

    // The runtime's array pools have an event source, which their first user makes: strings that are put together use
    // them. It makes it inside of a static constructor, and waits there for the lock of all event sources. A thread
    // that has that lock and uses a pool waits for the constructor, and the two wait for each other for ever. A tool's
    // command has the lock. So no thread of this library is the first user while it has the lock, nor later, when there
    // are commands. By now most programs have used a pool. For another this thread does, which holds nothing.
    private static void AwaitSourceOfPools()
    {
        for (int looks = 0; looks < MostLooks && !HasSourceOfPools(); looks++) Thread.Sleep(LookMilliseconds);
    }

    private static bool HasSourceOfPools()
    {
        foreach (EventSource source in EventSource.GetSources())
            if (source.Name == "System.Buffers.ArrayPoolEventSource") return true;
        return false;
    }

    private static bool HasRoom()
    {
        if (!VirtualMemory.TryReserve(RoomBytes, VirtualMemory.PageBytes, out nuint address)) return false;
        bool has = VirtualMemory.TryCommit(address, RoomBytes);
        VirtualMemory.Release(address, RoomBytes);
        return has;
    }

    private static bool HasManagedRoom() =>
        GC.GetTotalMemory(forceFullCollection: false) < GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2;

    /// <summary>An object that nobody has, so that the runtime's thread for finalizers runs one.</summary>
    private sealed class FirstFinalized
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        internal static void Drop() => GC.KeepAlive(new FirstFinalized());

#pragma warning disable CA1821 // An empty finalizer: that it runs is all it is for.
        ~FirstFinalized()
        {
        }
#pragma warning restore CA1821
    }
}
