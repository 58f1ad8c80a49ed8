using System.Diagnostics;

namespace NativeAlloc.Os;

/// <summary>
/// Places where it matters which thread goes on: before a lock is taken, after it is released, at each system call, and
/// where an owner changes without a lock. Tests make threads take turns there, in every order. There is nothing of it
/// in a release build.
/// </summary>
internal static class SchedulePoint
{
#if DEBUG
    /// <summary>
    /// Of a thread of a test: called at each such place, with true where the thread waits for another one. It may come
    /// back at any time. Other threads have none.
    /// </summary>
    [ThreadStatic]
    internal static Action<bool>? t_reached;
#endif

    /// <summary>The calling thread is about to do something that others can see.</summary>
    [Conditional("DEBUG")]
    internal static void Reach()
    {
#if DEBUG
        t_reached?.Invoke(false);
#endif
    }

    /// <summary>The calling thread cannot go on before another one has.</summary>
    [Conditional("DEBUG")]
    internal static void GiveWay()
    {
#if DEBUG
        t_reached?.Invoke(true);
#endif
    }
}
