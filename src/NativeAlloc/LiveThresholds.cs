using NativeAlloc.Common;
using NativeAlloc.Diagnostics;

namespace NativeAlloc;

/// <summary>
/// Who wants to know when users hold more than so many bytes. The decay's thread compares at the end of each period;
/// code of users runs on the thread pool.
/// </summary>
internal static class LiveThresholds
{
    /// <summary>
    /// Live bytes have to fall so far below a threshold before it can be crossed again: an eighth of it.
    /// </summary>
    private const int RearmShift = 3;

    private static readonly Registrations<Threshold> s_thresholds = new();

    internal static IDisposable Register(nuint bytes, Action<nuint> crossed) =>
        s_thresholds.Register(new Threshold(bytes, crossed));

    /// <summary>Compares with what is live at this moment. On one thread at a time; throws nothing.</summary>
    internal static void Compare()
    {
        ReadOnlySpan<Registrations<Threshold>.Registration> all = s_thresholds.All;
        if (all.IsEmpty) return;
        nuint live = StatisticsTotals.Read().LiveBytes;
        foreach (Registrations<Threshold>.Registration registration in all) registration.Item.Compare(live);
    }

    private sealed class Threshold(nuint bytes, Action<nuint> crossed)
    {
        /// <summary>Whether it was crossed, and live bytes are not far below yet. Only for who compares.</summary>
        private bool _isAbove;

        internal void Compare(nuint live)
        {
            if (live < bytes - (bytes >> RearmShift)) _isAbove = false;
            if (live < bytes || _isAbove) return;
            try
            {
                ThreadPool.UnsafeQueueUserWorkItem(crossed, live, preferLocal: false);
                _isAbove = true;
            }
            catch (OutOfMemoryException)
            {
                // The next period tries again.
            }
        }
    }
}
