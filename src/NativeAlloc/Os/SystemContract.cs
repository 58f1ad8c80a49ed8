namespace NativeAlloc.Os;

/// <summary>
/// All that this library asks of an operating system: memory, memory files, nodes, figures, sleeping. Each member
/// states what must hold before and what holds afterwards. One class for each system does the work
/// (<see cref="LinuxSystem"/>, <see cref="WindowsSystem"/>, <see cref="MacSystem"/>); <see cref="Platform"/> chooses
/// it, and <see cref="VirtualMemory"/>, <see cref="Machine"/> and <see cref="NodeTopology"/> are how the layers above
/// reach it.
/// </summary>
/// <remarks>
/// <para>Words: <b>reserve</b> takes addresses without memory; <b>commit</b> makes reserved addresses usable (memory
/// comes with the first touch and reads as zero); <b>purge</b> gives the memory back and keeps the addresses usable,
/// zero again;
/// <b>release</b> gives the addresses back. A <b>memory file</b> is memory that has no address of its own and may be
/// mapped at several.</para>
/// <para><b>Charged commit.</b> Some systems promise memory to what is committed, touched or not, and have only so much
/// to promise (<see cref="ChargesCommit"/>). There a caller commits what it is about to use, and a purge takes the
/// promise back as well: addresses that were purged have to be committed again before they are touched. Elsewhere a
/// commit costs nothing, is done in large steps, and what was purged stays usable.</para>
/// <para>Rules for all members. Any thread may call them. None throws, and only those that read nodes allocate managed
/// memory. A <c>Try…</c> member answers false where the system says no, and then nothing has changed unless the
/// member says otherwise. Addresses and sizes of ranges are whole system pages
/// (<see cref="VirtualMemory.PageBytes"/>), and no range is empty.</para>
/// </remarks>
internal abstract class SystemContract
{
    /// <summary>
    /// The unit in which files are mapped where not every address will do: what Windows gives addresses out in. Memory
    /// files consist of whole units there.
    /// </summary>
    internal const int FileUnitBytes = 64 * 1024;

    /// <summary>
    /// Inaccessible addresses next to a reservation, which belong to it: an overrun of what lies beside it faults
    /// there. A whole page on each system.
    /// </summary>
    private protected const int GapBytes = 64 * 1024;

    // ── what the system is like ──

    /// <summary>Whether committed memory counts against a limit before it is touched. The same at all times.</summary>
    internal abstract bool ChargesCommit { get; }

    /// <summary>Whether <see cref="TryMove"/> can succeed. The same at all times.</summary>
    internal abstract bool MovesMemory { get; }

    // ── memory ──

    /// <summary>
    /// Reserves address space. Touching it before a commit is an access violation; so is touching what lies behind it,
    /// and on POSIX systems before it, for some 64 KiB.
    /// </summary>
    /// <param name="bytes">How much.</param>
    /// <param name="alignment">A power of two, at least a system page: the address is a multiple of it.</param>
    /// <param name="address">Where it begins; 0 where the answer is false.</param>
    internal abstract bool TryReserve(nuint bytes, nuint alignment, out nuint address);

    /// <summary>
    /// Reserves address space, and sees to it that memory files can be mapped over a first part of it, in units of
    /// <see cref="FileUnitBytes"/>.
    /// </summary>
    /// <param name="bytes">How much, whole units.</param>
    /// <param name="fileBytes">The first part, whole units. What follows is like any reserved addresses.</param>
    /// <param name="alignment">A power of two, at least a unit: the address is a multiple of it.</param>
    /// <param name="address">Where it begins; 0 where the answer is false.</param>
    internal abstract bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address);

    /// <summary>
    /// How many bytes of addresses for files it is sensible to reserve beside so many others; 0 where files can be
    /// mapped over any.
    /// </summary>
    internal abstract nuint FileShareOf(nuint bytes);

    /// <summary>Reserves addresses below 2 GiB, which fit into an instruction as they are.</summary>
    /// <remarks>A system may have none or may not do this. Callers go on with <see cref="TryReserve"/> then.</remarks>
    internal abstract bool TryReserveLow(nuint bytes, out nuint address);

    /// <summary>Makes reserved addresses readable and writable. Fresh ones read as zero.</summary>
    /// <remarks>Committing twice is harmless: the contents stay. After a refusal a part may be committed.</remarks>
    internal abstract bool TryCommit(nuint address, nuint bytes);

    /// <summary>
    /// Gives back the memory behind committed addresses, which stay committed and read as zero. Where commit is charged
    /// they become reserved ones, and read as zero when they are committed again.
    /// </summary>
    /// <remarks>Also of memory that the program has locked, where the system can do that.</remarks>
    internal abstract bool TryPurge(nuint address, nuint bytes);

    /// <summary>
    /// The same for several ranges, in one call where the system has such a call. False where it refused one: those
    /// before it may have been purged, and none behind it.
    /// </summary>
    internal virtual unsafe bool TryPurgeAll(AddressRange* ranges, int count)
    {
        for (int i = 0; i < count; i++)
            if (!TryPurge(ranges[i].Address, ranges[i].Bytes)) return false;
        return true;
    }

    /// <summary>Makes committed addresses inaccessible or accessible again. The contents stay.</summary>
    /// <remarks>Any touch of inaccessible addresses is an access violation.</remarks>
    internal abstract bool TryProtect(nuint address, nuint bytes, bool accessible);

    /// <summary>Turns committed addresses into reserved ones and gives the memory behind them back.</summary>
    /// <remarks>False where the system has no room for one more mapping.</remarks>
    internal abstract bool TryDecommit(nuint address, nuint bytes);

    /// <summary>
    /// Moves the memory behind committed addresses, as it is, to reserved ones. The target is committed afterwards. The
    /// source stays committed and reads as zero.
    /// </summary>
    /// <param name="source">A range that came into being by one call of this class.</param>
    /// <param name="bytes">Bytes of both ranges.</param>
    /// <param name="target">Reserved addresses. If they were committed and the answer is false, they may be
    /// reserved.</param>
    /// <returns>False also on a system that cannot do this.</returns>
    internal abstract bool TryMove(nuint source, nuint bytes, nuint target);

    /// <summary>Asks that huge pages come with the first touch of committed addresses, where whole ones fit.</summary>
    internal abstract bool TryAdviseHuge(nuint address, nuint bytes);

    /// <summary>Keeps committed addresses in memory until <see cref="TryUnlock"/>.</summary>
    /// <remarks>
    /// All of the range has memory afterwards and is never paged out. False where the process may not lock so much
    /// (<see cref="SystemFigure.LockLimitBytes"/>).
    /// </remarks>
    internal abstract bool TryLock(nuint address, nuint bytes);

    /// <summary>
    /// Takes a <see cref="TryLock"/> back, of a part too. The contents stay. False, and all is locked as it was, where
    /// the system has no room for one mapping more.
    /// </summary>
    internal abstract bool TryUnlock(nuint address, nuint bytes);

    /// <summary>
    /// Asks that memory for committed or mapped addresses come from a node while that has some, and from another
    /// otherwise. Only memory that is touched later is concerned.
    /// </summary>
    /// <param name="address">Where the range begins.</param>
    /// <param name="bytes">Bytes of the range.</param>
    /// <param name="systemNode">A number of <see cref="TryReadNodes"/>.</param>
    internal abstract bool TryBind(nuint address, nuint bytes, int systemNode);

    /// <summary>Gives back addresses and the memory behind them, whether reserved, committed or mapped.</summary>
    /// <remarks>It cannot fail for a range that was reserved as a whole, and takes nothing less.</remarks>
    internal abstract void Release(nuint address, nuint bytes);

    // ── the C library's heap ──

    /// <summary>Whether the process has a C library whose heap can be read.</summary>
    internal virtual bool HasNativeHeap => false;

    /// <summary>
    /// Figures of the heap of the process's C library, which native libraries allocate from. False where it has none
    /// that can be read.
    /// </summary>
    /// <remarks>The C library looks through all of its free lists, and keeps threads that allocate there waiting
    /// meanwhile.</remarks>
    internal virtual bool TryReadNativeHeap(out NativeHeapInfo info)
    {
        info = default;
        return false;
    }

    /// <summary>
    /// Has the C library give back what it keeps free, between blocks that are in use, too. False where it has nothing,
    /// or cannot.
    /// </summary>
    internal virtual bool TryTrimNativeHeap() => false;

    // ── memory files ──

    /// <summary>Makes a memory file of zero bytes.</summary>
    /// <param name="bytes">How long it is.</param>
    /// <param name="file">For the other members of this group only; -1 where the answer is false.</param>
    internal abstract bool TryCreateFile(nuint bytes, out nint file);

    /// <summary>Makes a memory file longer. What is new reads as zero; what is mapped stays mapped.</summary>
    internal abstract bool TryGrowFile(nint file, nuint bytes);

    /// <summary>
    /// Gives back the memory behind a part of a file, wherever that is mapped. The part reads as zero.
    /// </summary>
    /// <remarks>A system may keep the memory of what is mapped at the time.</remarks>
    internal abstract bool TryPurgeFile(nint file, nuint offset, nuint bytes);

    /// <summary>Maps a part of a file over reserved addresses. What was mapped there is replaced.</summary>
    /// <remarks>
    /// In one step where the system can; elsewhere a touch in between is an access violation. The addresses are of
    /// <see cref="TryReserveForFiles"/>; on Linux any will do.
    /// </remarks>
    internal abstract bool TryMapFile(nint file, nuint offset, nuint address, nuint bytes);

    /// <summary>Turns addresses where a file is mapped into reserved ones. The file keeps its contents.</summary>
    internal abstract bool TryUnmapFile(nuint address, nuint bytes);

    /// <summary>Gives a file back. Parts that are still mapped stay alive until they are unmapped.</summary>
    internal abstract void CloseFile(nint file);

    // ── nodes and processors ──

    /// <summary>The system's numbers of the NUMA nodes that have memory.</summary>
    internal abstract bool TryReadNodes(out int[] numbers);

    /// <summary>
    /// What else is known of those nodes. Asked for only where there are several, or fake ones are wanted.
    /// </summary>
    /// <param name="numbers">As <see cref="TryReadNodes"/> said.</param>
    /// <param name="processors">By the same index, the processors of each.</param>
    /// <param name="distances">By the same index twice, the system's measure: 10 for a node to itself.</param>
    internal abstract bool TryReadNodeDetails(int[] numbers, out int[][] processors, out int[][] distances);

    /// <summary>
    /// The processor that the calling thread runs on at this moment; 0 where the system does not say.
    /// </summary>
    internal abstract int CurrentProcessor();

    // ── figures ──

    /// <summary>A figure as it is now, without managed memory: it is asked for where memory is short.</summary>
    /// <returns>Null where the system does not say, and for a limit also where there is none.</returns>
    internal abstract ulong? Read(SystemFigure figure);

    /// <summary>Looks which system pages of a range have memory behind them at this moment.</summary>
    /// <param name="address">Where the range begins.</param>
    /// <param name="bytes">Bytes of the range.</param>
    /// <param name="resident">A byte for each system page, of which bit 0 says so.</param>
    internal abstract unsafe bool TryReadResident(nuint address, nuint bytes, byte* resident);

    /// <summary>
    /// Looks at the memory of the machine and of the containers around the process at this moment, whatever share of it
    /// the managed heap may have. Some ten to forty system calls, and no managed memory.
    /// </summary>
    /// <returns>A total of 0 where the system does not say.</returns>
    internal abstract MemoryLoad ReadLoad();

    // ── stacks ──

    /// <summary>Puts machine code into memory of its own, which can be called and not be written any more.</summary>
    /// <remarks>False on a system that cannot do this or forbids it.</remarks>
    internal virtual bool TryMakeCode(ReadOnlySpan<byte> code, out nuint address)
    {
        address = 0;
        return false;
    }

    /// <summary>Where the calling thread's stack ends, at its upper end; 0 where the system does not say.</summary>
    internal virtual nuint ReadStackEnd() => 0;

    // ── sleeping ──

    /// <summary>Lets the calling thread rest for so long, or longer, up to a second.</summary>
    /// <remarks><see cref="Thread.Interrupt"/> does not break this rest, as it does those of the runtime.</remarks>
    internal abstract void Sleep(int microseconds);
}

/// <summary>The figures that a system is asked for.</summary>
internal enum SystemFigure
{
    /// <summary>Most bytes of address space that the process may have.</summary>
    AddressSpaceLimitBytes,

    /// <summary>Bytes of address space that the process has.</summary>
    AddressSpaceBytes,

    /// <summary>Most bytes of private writable memory that the process may have, touched or not.</summary>
    DataLimitBytes,

    /// <summary>Most bytes that the process may lock into memory.</summary>
    LockLimitBytes,

    /// <summary>
    /// Most mappings that the process may have. A <b>mapping</b> is addresses side by side with the same access and the
    /// same memory behind them, of which the system keeps a record.
    /// </summary>
    MappingLimit,

    /// <summary>Bytes of the process that are in memory and that only it can give back, without memory files.</summary>
    AnonymousResidentBytes,

    /// <summary>The most bytes of the process that were ever in memory, memory files included.</summary>
    PeakResidentBytes,

    /// <summary>Bytes that the process has locked into memory.</summary>
    LockedBytes,

    /// <summary>Bytes of memory files that the process has mapped and touched.</summary>
    SharedResidentBytes,
}
