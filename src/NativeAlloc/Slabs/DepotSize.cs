using System.Runtime.InteropServices;

namespace NativeAlloc.Slabs;

/// <summary>
/// Decides how large a depot is: how many full magazines it keeps (<see cref="FullToKeep"/>), and how many move between
/// the depot and the slabs at one time (<see cref="BulkOf"/>). It knows who exchanged magazines (<see
/// cref="NoteExchange"/>), whether magazines went to the slabs or came from there (<see cref="NoteSlabs"/>), and how
/// many objects the slabs hold.
/// </summary>
/// <remarks>Any thread writes any field, by Volatile. A lost update makes the depot a little too small or too
/// large.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct DepotSize
{
    /// <summary>Full magazines that are kept for threads to pass on to each other.</summary>
    private int _limit;

    /// <summary>Exchanges since the limit last changed that the same thread made one after the other.</summary>
    private int _calmExchanges;

    /// <summary>
    /// Full magazines that are kept because threads would fetch the same objects from the slabs again.
    /// </summary>
    private int _kept;

    /// <summary>
    /// Magazines that went to the slabs since the last came from there; below 0, those that came since the last went.
    /// </summary>
    private int _toSlabs;

    /// <summary>The thread block that made the last exchange.</summary>
    private nint _lastUser;

    // So many exchanges of one thread in a row halve the limit.
    private const int CalmExchanges = 64;

    // A program that goes up and down by more than this grows and shrinks; what it frees is of more use in the slabs.
    internal const int MostKept = 4;

    // What a thread that is alone with a cache leaves in the depot, and takes out of slabs for it, at one time: at most
    // so many magazines, and no more than this part of the cache. It saves three of four visits to the slabs, and costs
    // small heaps nothing.
    internal const int LargestBulk = 3;
    private const int BulkShift = 4;

    /// <summary>Full magazines that the depot keeps for threads to pass on.</summary>
    internal readonly int Limit => Volatile.Read(in _limit);

    /// <summary>Full magazines that it keeps for threads that go up and down.</summary>
    internal readonly int Kept => Volatile.Read(in _kept);

    /// <summary>Whether threads take turns at the depot: the first thread alone leaves a limit of 1.</summary>
    internal readonly bool IsContended => Limit > 1;

    /// <summary>Full magazines that the depot keeps at present; beyond, objects go back to their slabs.</summary>
    /// <param name="bulk">See <see cref="BulkOf"/>.</param>
    internal readonly int FullToKeep(int bulk) => Math.Max(Math.Max(Limit, Kept), bulk);

    /// <summary>Magazines that are worth moving at one time.</summary>
    /// <param name="objectsInSlabs">Objects of all slabs, free or not.</param>
    /// <param name="capacity">Objects of a magazine.</param>
    internal static int BulkOf(ulong objectsInSlabs, int capacity) =>
        (int)Math.Min(LargestBulk, objectsInSlabs / ((uint)capacity << BulkShift));

    /// <summary>
    /// Notes who exchanges a magazine, or objects for the lack of one, and sets the limit by that. The limit doubles
    /// when another thread comes than before. A thread that is alone with a cache soon finds little: what it frees goes
    /// to the slabs, where it can become whole pages again.
    /// </summary>
    /// <returns>True if the exchange before was another thread's.</returns>
    internal bool NoteExchange(nint thread, int largestLimit)
    {
        int limit = Volatile.Read(ref _limit);
        nint lastUser = Volatile.Read(ref _lastUser);
        if (lastUser != thread)
        {
            Volatile.Write(ref _lastUser, thread);
            Volatile.Write(ref _calmExchanges, 0);
            if (limit < largestLimit) Volatile.Write(ref _limit, Math.Min(largestLimit, limit * 2 + 1));
            return lastUser != 0;
        }
        int calm = Volatile.Read(ref _calmExchanges) + 1;
        if (calm >= CalmExchanges)
        {
            calm = 0;
            Volatile.Write(ref _limit, limit / 2);
        }
        Volatile.Write(ref _calmExchanges, calm);
        return false;
    }

    /// <summary>
    /// Notes that a magazine's objects go to the slabs, or come from there. A thread that is alone with a cache, and
    /// uses a few magazines more and fewer in turn, would move the same objects to and fro: then so many are kept here
    /// instead.
    /// </summary>
    internal void NoteSlabs(bool to)
    {
        int before = Volatile.Read(ref _toSlabs), step = to ? 1 : -1;
        bool turns = before * step < 0;
        int after = turns ? step : Math.Clamp(before + step, -MostKept - 1, MostKept + 1);
        Volatile.Write(ref _toSlabs, after);
        if (Math.Abs(after) > MostKept) Volatile.Write(ref _kept, 0);
        else if (turns && Math.Abs(before) <= MostKept)
            Volatile.Write(ref _kept, Math.Min(MostKept, Kept + Math.Abs(before)));
    }
}
