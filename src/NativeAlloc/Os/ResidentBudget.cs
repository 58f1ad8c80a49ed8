namespace NativeAlloc.Os;

/// <summary>
/// How much memory the process may have through this library: the soft resident limit, and what counts towards it.
/// <b>Charged</b> is what may have memory behind it: pages from the moment they are first handed out until they are
/// purged, and areas as long as they are mapped. Being used again costs nothing again.
/// </summary>
/// <remarks>
/// <para>A limit that the user set is compared with the charged bytes, which are never less than what is resident (the
/// tables of this library are not counted). One that was derived from the machine is not so strict: what is charged may
/// never be touched, so beyond it the system is asked what the process really has, and only that can be too much. The
/// answer is good for another sixteenth of the limit, so that it is rarely asked.</para>
/// <para>Everything is by Interlocked or Volatile, and any thread may call any member, also under a lock, but for
/// <see cref="TryRaise"/>, which makes system calls.</para>
/// </remarks>
internal static class ResidentBudget
{
    // Reclaim begins when so much of the limit is left: 1/16. Where it does not help, again after each 1/64 more.
    private const int NearShift = 4, NearStepShift = 6;

    private static long s_charged;

    /// <summary>How much of what is charged lies in memory files. By Interlocked.</summary>
    private static long s_chargedInFiles;

    /// <summary>
    /// Charges that lead beyond this are refused: the limit, or more where the system has said that less is really
    /// resident.
    /// </summary>
    private static long s_refuseAt;

    /// <summary>Charged bytes at which reclaim is due next.</summary>
    private static long s_nearAt;

    /// <summary>The most that was ever charged. A lost update makes it a little too small.</summary>
    private static long s_peak;

    /// <summary>The peak that <see cref="ReadAndResetExcess"/> last saw.</summary>
    private static long s_seenPeak;

    private static long s_hits;

    private static long s_limit;

    /// <summary>
    /// When the system was last asked: how much was charged, and what was resident. By Interlocked. See
    /// <see cref="ExpectedResident"/>.
    /// </summary>
    private static long s_chargedWhenAsked, s_residentWhenAsked;

    /// <summary>
    /// The largest part of what is charged that was resident when the system was asked. By Volatile; a lost update
    /// makes it a little too small.
    /// </summary>
    private static double s_densest;

    /// <summary>When to ask the system again, by <see cref="Environment.TickCount64"/>.</summary>
    private static long s_refreshDue;

    /// <summary>1 if the limit is derived from the machine.</summary>
    private static int s_isDerived;

    static ResidentBudget() => SetLimit(Options.ResidentLimitBytes);

    /// <summary>Most bytes that the process should have resident.</summary>
    internal static nuint LimitBytes => (nuint)Volatile.Read(ref s_limit);

    internal static bool IsDerived => Volatile.Read(ref s_isDerived) != 0;

    /// <summary>Bytes that may have memory behind them.</summary>
    internal static nuint ChargedBytes => (nuint)Volatile.Read(ref s_charged);

    /// <summary>The most that was ever charged.</summary>
    internal static nuint PeakBytes => (nuint)Volatile.Read(ref s_peak);

    /// <summary>
    /// Allocations that ran into the limit, so that memory was reclaimed for them; they may have succeeded then.
    /// </summary>
    internal static long LimitHits => Volatile.Read(ref s_hits);

    /// <summary>Sets the limit; 0 derives it from the machine.</summary>
    internal static void SetLimit(nuint bytes)
    {
        Volatile.Write(ref s_isDerived, bytes == 0 ? 1 : 0);
        Begin(Bounded(bytes == 0 ? DerivedFrom(Machine.MemoryBytes) : bytes));
        MemorySignals.ReadAndReset(MemorySignals.LimitNear);
    }

    /// <summary>
    /// Says how much memory the machine or the container has now: a derived limit follows, as limits of containers
    /// change while a process runs.
    /// </summary>
    internal static void NoteMachine(ulong totalBytes)
    {
        long limit = Bounded(DerivedFrom(totalBytes));
        if (IsDerived && limit != Volatile.Read(ref s_limit)) Begin(limit);
    }

    /// <summary>
    /// Looks whether a derived limit has changed since it was read, for a request that it is in the way of. The system
    /// is asked a few times a second at most, as some programs ask again and again for more than there can be.
    /// </summary>
    internal static void RefreshLimit()
    {
        long now = Environment.TickCount64;
        if (!IsDerived || now < Volatile.Read(ref s_refreshDue)) return;
        Volatile.Write(ref s_refreshDue, now + RefreshMilliseconds);
        NoteMachine(Machine.ReadLoad().TotalBytes);
    }

    private const int RefreshMilliseconds = 100;

    private static nuint DerivedFrom(ulong totalBytes) => (nuint)(totalBytes - MemoryLoad.ReserveOf(totalBytes));

    private static void Begin(long limit)
    {
        Volatile.Write(ref s_limit, limit);
        Volatile.Write(ref s_refuseAt, limit);
        Volatile.Write(ref s_nearAt, limit - (limit >> NearShift));
        Interlocked.Exchange(ref s_chargedWhenAsked, 0);
        Interlocked.Exchange(ref s_residentWhenAsked, 0);
        Volatile.Write(ref s_densest, 0);
    }

    /// <summary>
    /// Charges memory that is about to be used; false, and nothing charged, where the limit is in the way.
    /// </summary>
    internal static bool TryCharge(nuint bytes)
    {
        while (true)
        {
            long charged = Volatile.Read(ref s_charged);
            long sum = charged + Bounded(bytes);
            if (sum > Volatile.Read(ref s_refuseAt)) return false;
            // Not by adding and taking back: others would be refused for what this one does not get.
            if (Interlocked.CompareExchange(ref s_charged, sum, charged) != charged) continue;
            NoteNear(sum);
            return true;
        }
    }

    /// <summary>Charges memory that there is anyway.</summary>
    internal static void Charge(nuint bytes) => NoteNear(Interlocked.Add(ref s_charged, (long)bytes));

    /// <summary>Takes a charge back.</summary>
    internal static void Release(nuint bytes) => Interlocked.Add(ref s_charged, -(long)bytes);

    /// <summary>
    /// Notes that charged memory lies in a memory file, or, with a negative number, that it does no more.
    /// </summary>
    internal static void CountInFiles(long bytes) => Interlocked.Add(ref s_chargedInFiles, bytes);

    /// <summary>
    /// Bytes of the process that are in memory: what the system says, and what is charged in memory files. Of these the
    /// system counts only what is mapped. Makes system calls.
    /// </summary>
    internal static nuint ReadResidentBytes() =>
        Machine.AnonymousResidentBytes() + (nuint)Volatile.Read(ref s_chargedInFiles);

    /// <summary>
    /// How many bytes more are charged now than were ever charged before this was asked last.
    /// </summary>
    internal static nuint ReadAndResetExcess()
    {
        long seen = Interlocked.Exchange(ref s_seenPeak, Volatile.Read(ref s_peak));
        return (nuint)Math.Max(0, Volatile.Read(ref s_charged) - seen);
    }

    /// <summary>After reclaim: from where on it is due again.</summary>
    internal static void Rearm()
    {
        long refuseAt = Volatile.Read(ref s_refuseAt), limit = Volatile.Read(ref s_limit);
        Volatile.Write(ref s_nearAt,
            Math.Max(refuseAt - (limit >> NearShift), Volatile.Read(ref s_charged) + (limit >> NearStepShift)));
    }

    /// <summary>
    /// Lets more be charged than the limit, if it is derived and the process really has less: asks the system. Not
    /// under a lock. False where the limit stands; where the system does not say, it does not.
    /// </summary>
    /// <param name="bytes">What is to be charged.</param>
    internal static bool TryRaise(nuint bytes)
    {
        if (!IsDerived) return false;
        long limit = Volatile.Read(ref s_limit), resident = (long)ReadResidentBytes();
        long room = limit - ExpectedResident(Volatile.Read(ref s_charged), resident, limit);
        if (room < Bounded(bytes)) return false;
        long step = Math.Max(Bounded(bytes), Math.Min(room, limit >> NearShift));
        Volatile.Write(ref s_refuseAt, Math.Max(limit, Volatile.Read(ref s_charged) + step));
        Rearm();
        return true;
    }

    /// <summary>
    /// What the process will have when it has touched what it took last, as far as it can be told. A program that
    /// touches all its memory takes some of it before it touches that, so it looks sparse for a while; it is expected
    /// to go on as it did when it was densest. Where less than half of the limit is resident, what is resident counts.
    /// </summary>
    /// <param name="charged">Bytes that are charged.</param>
    /// <param name="resident">Bytes that the process has now.</param>
    /// <param name="limit">The limit.</param>
    internal static long ExpectedResident(long charged, long resident, long limit)
    {
        double density = (double)resident / Math.Max(charged, 1);
        long most = limit >> NearShift, chargedBefore = Interlocked.Exchange(ref s_chargedWhenAsked, charged),
            residentBefore = Interlocked.Exchange(ref s_residentWhenAsked, resident);
        // Much has gone since then, from this library or from the managed heap: the program may do something else now.
        bool isOther = chargedBefore - charged > most || residentBefore - resident > most;
        double densest = isOther ? density : Math.Max(density, Volatile.Read(ref s_densest));
        Volatile.Write(ref s_densest, densest);
        return resident <= limit / 2 ? resident : Math.Max(resident, (long)(densest * charged));
    }

    /// <summary>Counts an allocation that the limit stopped.</summary>
    internal static void CountHit()
    {
        Interlocked.Increment(ref s_hits);
        EventRing.Raise(EventKind.LimitHit, ChargedBytes, LimitBytes);
    }

    // More than any address space holds, and twice that is still a number.
    private static long Bounded(nuint bytes) => (long)Math.Min((ulong)bytes, 1UL << 60);

    private static void NoteNear(long charged)
    {
        if (charged > Volatile.Read(ref s_peak))
        {
            Volatile.Write(ref s_peak, charged);
            MemorySignals.Raise(MemorySignals.NewPeak);
        }
        if (charged <= Volatile.Read(ref s_nearAt)) return;
        Volatile.Write(ref s_nearAt, charged + (Volatile.Read(ref s_limit) >> NearStepShift));
        MemorySignals.Raise(MemorySignals.LimitNear);
    }
}
