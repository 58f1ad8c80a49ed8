using NativeAlloc.Os;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Has something done at each place where the calling thread meets others, until it is disposed of: with true where the
/// thread waits for another one.
/// </summary>
internal readonly struct WhileReached : IDisposable
{
    internal WhileReached(Action<bool> reached)
    {
#if DEBUG
        SchedulePoint.t_reached = reached;
#endif
    }

    public void Dispose()
    {
#if DEBUG
        SchedulePoint.t_reached = null;
#endif
    }
}
