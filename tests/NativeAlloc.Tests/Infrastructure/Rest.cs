using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using NativeAlloc.Threads;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// The state in which every test begins: nothing is kept for later by any layer or thread, and no other thread moves
/// memory. A test may then compare figures of the whole process.
/// </summary>
internal static class Rest
{
    private const int Day = 24 * 60 * 60 * 1000;

    /// <summary>
    /// Mappings in use, but for those of sections that are inaccessible: a section comes back with the first page that
    /// is taken of it.
    /// </summary>
    internal static int Mappings => MappingBudget.InUse - OfflineSections * LinearRegion.MappingsPerOffline;

    /// <summary>Sections that are inaccessible.</summary>
    internal static unsafe int OfflineSections
    {
        get
        {
            int offline = 0;
            for (uint section = 0; section < LinearRegion.OnlinePages; section += PageGeometry.SectionPages)
                if (LinearRegion.Frames[section].GetState() == PageState.Offline) offline++;
            return offline;
        }
    }

    /// <summary>
    /// Gives back what tests have left: until nothing comes any more, as threads that rest give up the last objects of
    /// a slab only when they are asked again. Not by a trim, which asks the system each time what is resident, and
    /// looks at the frames of zones that tests make.
    /// </summary>
    internal static unsafe void GiveBack()
    {
#if DEBUG
        byte* held = ThreadRegistry.t_held; // a test may do an owner's steps; trimming lets go of the block
#endif
        for (long calls = -1; Platform.Calls is var now && now != calls; calls = now) Reclaimer.GiveBack();
#if DEBUG
        ThreadRegistry.SetHeld(held);
#endif
    }

    /// <summary>
    /// The blocks of all threads that have ended lose their memory, as after a while of rest. Where many have it,
    /// threads begin without magazines, so that the next tests would find another allocator than they know.
    /// </summary>
    internal static unsafe void ForgetBlocks()
    {
        GiveBack();
        for (int index = 0; index < ThreadRegistry.Count; index++)
        {
            if (!ThreadRegistry.HasMemory(index)) continue;
            ThreadHeader* header = ThreadBlock.HeaderOf(ThreadRegistry.At(index));
            if (header->FreeSince != 0)
                header->FreeSince = unchecked(header->FreeSince - ThreadRegistry.RestMilliseconds);
        }
        GiveBack();
    }

    /// <summary>
    /// Nothing goes back by itself from now on, and the decay's thread has ended what it was doing: it answers a
    /// request that finds nothing to do.
    /// </summary>
    internal static void EndDecay(uint capPages)
    {
        Decay.Configure(Day, LinearRegion.PageCount);
        MemorySignals.Raise(MemorySignals.CapExceeded);
        DecayThread.Attend();
        SpinWait.SpinUntil(() => !MemorySignals.IsRaised(MemorySignals.CapExceeded));
        Decay.Configure(Decay.Never, capPages);
    }
}
