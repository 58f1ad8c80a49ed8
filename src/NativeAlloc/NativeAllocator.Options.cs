using NativeAlloc.Common;
using NativeAlloc.Os;

namespace NativeAlloc;

/// <content>What is set before the first use.</content>
public static unsafe partial class NativeAllocator
{
    /// <summary>
    /// Sets how the allocator is to work. Once, and before any other member of this library is used: the options are
    /// constants from then on. What is left null is taken from <see cref="AppContext"/>, then from the environment.
    /// </summary>
    /// <param name="options">What to set; it is copied, so later changes of the object have no effect.</param>
    /// <exception cref="ArgumentNullException">There are no options.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; nothing was set.</exception>
    /// <exception cref="InvalidOperationException">The allocator has been used or configured already, by whichever
    /// thread.</exception>
    public static void Configure(NativeAllocatorOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Platform.ThrowIfUnsupported(); // the layers begin later, with these options
        if (!GivenOptions.TryGive(options.ToValues())) ThrowHelper.ThrowTooLateToConfigure();
    }

    /// <summary>
    /// Told what was found when the process has to end because a block may have two owners: freed twice, or freed by a
    /// pointer that was never handed out. Null for nobody. It gets the message that the process then ends with, on a
    /// thread of its own, and has five seconds.
    /// </summary>
    /// <remarks>
    /// For a last line in a log. The allocator may be locked, so what the handler allocates from it may wait until the
    /// time is over. The process ends in any case (<see cref="Environment.FailFast(string)"/>).
    /// </remarks>
    public static Action<string>? CorruptionHandler
    {
        get => FatalError.GetHandler();
        set => FatalError.SetHandler(value);
    }

    /// <summary>
    /// Has a method called when users hold more than so many bytes: for hosts that then start a collection, as dead
    /// managed objects may hold much native memory, or drop what they have cached.
    /// </summary>
    /// <param name="liveBytes">The threshold, in bytes as <c>LiveBytes</c> of <see cref="GetStatistics"/> counts
    /// them.</param>
    /// <param name="crossed">Gets the live bytes. It runs on the thread pool, where an exception of it ends the process
    /// as everybody's does. It is called once, and again when live bytes had fallen an eighth below the
    /// threshold.</param>
    /// <returns>Ends the registration when disposed of; a call that is under way goes on.</returns>
    /// <remarks>
    /// It is looked at when a period of the decay (<c>DecayMilliseconds</c>, one second by default) ends in which
    /// memory was used, and not at all where that is switched off. Any thread may register.
    /// </remarks>
    /// <exception cref="ArgumentNullException">There is nothing to call.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is 0.</exception>
    public static IDisposable RegisterThreshold(nuint liveBytes, Action<nuint> crossed)
    {
        ArgumentNullException.ThrowIfNull(crossed);
        ArgumentOutOfRangeException.ThrowIfZero(liveBytes);
        Startup.Begin();
        return LiveThresholds.Register(liveBytes, crossed);
    }
}
