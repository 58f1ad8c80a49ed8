using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// macOS: what POSIX has, with shm_open for memory files and task_info for figures. <b>Never run</b>: there was no such
/// machine. Memory does not move, there is one node, and huge pages are not asked for.
/// </summary>
internal sealed unsafe partial class MacSystem() : PosixSystem(MapAnonymous | MapNoReserve)
{
    // sys/mman.h, sys/fcntl.h, mach/task_info.h
    private const int MapAnonymous = 0x1000, MapNoReserve = 0x40;
    private const int OpenReadWrite = 2, OpenCreate = 0x200, OpenExclusive = 0x800, OwnerOnly = 0x180;
    private const int TaskVmInfo = 22, TaskVmInfoWords = 38;

    // In 8-byte words of task_vm_info: the size, two numbers of 4 bytes, two words of what is resident, two of devices.
    private const int InternalWord = 6;

    // The length of a shared memory object can be set once. Its memory comes with the first touch.
    private const long FileBytes = 64L << 30;

    private static int s_files;

    internal override bool ChargesCommit => false;

    internal override bool MovesMemory => false;

    internal override bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address) =>
        TryReserve(bytes, alignment, out address);

    internal override nuint FileShareOf(nuint bytes) => 0;

    // The first 4 GiB of addresses are taken.
    internal override bool TryReserveLow(nuint bytes, out nuint address)
    {
        address = 0;
        return false;
    }

    // madvise leaves what was there until memory is short; a fresh mapping reads as zero at once.
    internal override bool TryPurge(nuint address, nuint bytes) =>
        MMap(address, bytes, ProtReadWrite, MapPrivate | Nothing | MapFixed, -1, 0) == address;

    internal override bool TryMove(nuint source, nuint bytes, nuint target) => false;

    internal override bool TryAdviseHuge(nuint address, nuint bytes) => false;

    internal override bool TryBind(nuint address, nuint bytes, int systemNode) => false;

    internal override bool TryCreateFile(nuint bytes, out nint file)
    {
        file = -1;
        // "/na", the process, the number of the file: names are of the whole machine, and at most 31 characters.
        Span<byte> name = stackalloc byte[32];
        name.Clear();
        bool fits = System.Text.Unicode.Utf8.TryWrite(name[..31],
            $"/na{Environment.ProcessId}.{Interlocked.Increment(ref s_files)}", out _);
        if (!fits) return false;
        int descriptor;
        fixed (byte* text = name)
        {
            descriptor = ShmOpen(text);
            if (descriptor >= 0) ShmUnlink(text);
        }
        if (descriptor < 0) return false;
        file = descriptor;
        if (bytes <= (ulong)FileBytes && FTruncate(descriptor, unchecked((nint)FileBytes)) == 0) return true;
        Close(descriptor);
        file = -1;
        return false;
    }

    internal override bool TryGrowFile(nint file, nuint bytes) => file >= 0 && bytes <= (ulong)FileBytes;

    // There is no call for holes: the part is cleared, and keeps its memory.
    internal override bool TryPurgeFile(nint file, nuint offset, nuint bytes)
    {
        nuint view = MMap(0, bytes, ProtReadWrite, MapShared, (int)file, (nint)offset);
        if (view == s_failed) return false;
        NativeMemory.Clear((void*)view, bytes);
        return MUnmap(view, bytes) == 0;
    }

    internal override bool TryReadNodes(out int[] numbers)
    {
        numbers = [0];
        return true;
    }

    internal override bool TryReadNodeDetails(int[] numbers, out int[][] processors, out int[][] distances)
    {
        processors = distances = [];
        return false;
    }

    internal override int CurrentProcessor() => 0;

    internal override ulong? Read(SystemFigure figure)
    {
        if (figure != SystemFigure.AnonymousResidentBytes) return null;
        ulong* information = stackalloc ulong[TaskVmInfoWords];
        uint words = TaskVmInfoWords;
        return TaskInfo(TaskSelf(), TaskVmInfo, information, &words) == 0 ? information[InternalWord] : null;
    }

    internal override bool TryReadResident(nuint address, nuint bytes, byte* resident) => false;

    // The system says what part of its memory is available, in hundredths.
    internal override MemoryLoad ReadLoad()
    {
        const ulong Whole = 100;
        ulong total = 0;
        uint level = 0;
        if (!TryReadControl("hw.memsize\0"u8, &total, sizeof(ulong)) || total == 0) return default;
        bool isKnown = TryReadControl("kern.memorystatus_level\0"u8, &level, sizeof(uint)) && level <= Whole;
        return default(MemoryLoad).With(total, isKnown ? total / Whole * (Whole - level) : 0);
    }

    private static bool TryReadControl(ReadOnlySpan<byte> name, void* value, nuint bytes)
    {
        fixed (byte* text = name) return SysCtlByName(text, value, &bytes, null, 0) == 0;
    }

    // The mode is a variable argument: on arm64 those are on the stack, behind eight that are in registers.
    private static int ShmOpen(byte* name)
    {
        const int Flags = OpenReadWrite | OpenCreate | OpenExclusive;
        return RuntimeInformation.ProcessArchitecture == Architecture.Arm64
            ? ShmOpen(name, Flags, 0, 0, 0, 0, 0, 0, OwnerOnly)
            : ShmOpen(name, Flags, OwnerOnly);
    }

    [LibraryImport("libc", EntryPoint = "shm_open")]
    private static partial int ShmOpen(byte* name, int flags, int mode);
    [LibraryImport("libc", EntryPoint = "shm_open")]
    private static partial int ShmOpen(byte* name, nint flags, nint unused2, nint unused3, nint unused4, nint unused5,
        nint unused6, nint unused7, nint mode);
    [LibraryImport("libc", EntryPoint = "shm_unlink")] private static partial int ShmUnlink(byte* name);
    [LibraryImport("libc", EntryPoint = "sysctlbyname")]
    private static partial int SysCtlByName(byte* name, void* value, nuint* bytes, void* newValue, nuint newBytes);
    [LibraryImport("libc", EntryPoint = "task_self_trap")] private static partial uint TaskSelf();
    [LibraryImport("libc", EntryPoint = "task_info")]
    private static partial int TaskInfo(uint task, int kind, void* information, uint* words);
}
