using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// The calls of Windows that this library makes, with the values of its headers (winnt.h, memoryapi.h). Those that not
/// every Windows has are looked for at run time: <see cref="NewCalls"/>.
/// </summary>
/// <remarks>Each of these can block or fault: none may suppress the GC transition.</remarks>
internal static unsafe partial class WindowsCalls
{
    internal const uint MemCommit = 0x1000, MemReserve = 0x2000, MemDecommit = 0x4000, MemRelease = 0x8000;
    internal const uint MemReplacePlaceholder = 0x4000, MemReservePlaceholder = 0x40000, MemPreservePlaceholder = 2;
    internal const uint MemFree = 0x10000;
    internal const uint PageNoAccess = 1, PageReadWrite = 4;
    internal const uint FileMapWriteRead = 2 | 4;
    internal const int ErrorWorkingSetQuota = 1453;

    /// <summary>The pseudo handle of this process, which needs no call.</summary>
    internal const nint ThisProcess = -1;

    private const string Kernel = "kernel32";

    [LibraryImport(Kernel, EntryPoint = "VirtualAlloc")]
    internal static partial nuint VirtualAlloc(nuint address, nuint bytes, uint type, uint protection);
    [LibraryImport(Kernel, EntryPoint = "VirtualFree")]
    internal static partial int VirtualFree(nuint address, nuint bytes, uint type);
    [LibraryImport(Kernel, EntryPoint = "VirtualProtect")]
    internal static partial int VirtualProtect(nuint address, nuint bytes, uint protection, uint* old);
    [LibraryImport(Kernel, EntryPoint = "VirtualQuery")]
    internal static partial nuint VirtualQuery(nuint address, MemoryInformation* information, nuint bytes);
    [LibraryImport(Kernel, EntryPoint = "VirtualLock", SetLastError = true)]
    internal static partial int VirtualLock(nuint address, nuint bytes);
    [LibraryImport(Kernel, EntryPoint = "VirtualUnlock")]
    internal static partial int VirtualUnlock(nuint address, nuint bytes);
    [LibraryImport(Kernel, EntryPoint = "GetProcessWorkingSetSizeEx")]
    internal static partial int GetWorkingSetSize(nint process, nuint* least, nuint* most, uint* flags);
    [LibraryImport(Kernel, EntryPoint = "SetProcessWorkingSetSizeEx")]
    internal static partial int SetWorkingSetSize(nint process, nuint least, nuint most, uint flags);

    [LibraryImport(Kernel, EntryPoint = "CreateFileMappingW")]
    internal static partial nint CreateFileMapping(
        nint file, void* attributes, uint protection, uint highBytes, uint lowBytes, void* name);
    [LibraryImport(Kernel, EntryPoint = "MapViewOfFileEx")]
    internal static partial nuint MapViewOfFile(
        nint section, uint access, uint highOffset, uint lowOffset, nuint bytes, nuint address);
    [LibraryImport(Kernel, EntryPoint = "UnmapViewOfFile")] internal static partial int UnmapViewOfFile(nuint address);
    [LibraryImport(Kernel, EntryPoint = "CloseHandle")] internal static partial int CloseHandle(nint handle);

    [LibraryImport(Kernel, EntryPoint = "GlobalMemoryStatusEx")]
    internal static partial int GlobalMemoryStatus(MachineMemory* status);
    [LibraryImport(Kernel, EntryPoint = "K32GetProcessMemoryInfo")]
    internal static partial int GetProcessMemory(nint process, ProcessCounters* counters, uint bytes);
    [LibraryImport(Kernel, EntryPoint = "QueryInformationJobObject")]
    internal static partial int QueryJob(nint job, int kind, JobLimits* limits, uint bytes, uint* length);

    [LibraryImport(Kernel, EntryPoint = "GetNumaHighestNodeNumber")]
    internal static partial int GetHighestNode(uint* number);
    [LibraryImport(Kernel, EntryPoint = "GetNumaAvailableMemoryNodeEx")]
    internal static partial int GetNodeMemory(ushort node, ulong* bytes);
    [LibraryImport(Kernel, EntryPoint = "GetNumaNodeProcessorMaskEx")]
    internal static partial int GetNodeProcessors(ushort node, GroupAffinity* processors);
    [LibraryImport(Kernel, EntryPoint = "GetCurrentProcessorNumberEx")]
    internal static partial void GetCurrentProcessor(ProcessorNumber* number);
    [LibraryImport(Kernel, EntryPoint = "Sleep")] internal static partial void Sleep(uint milliseconds);

    /// <summary>MEMORY_BASIC_INFORMATION of a 64-bit process.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MemoryInformation
    {
        public nuint BaseAddress, AllocationBase;
        public uint AllocationProtect;
        public uint PartitionId;
        public nuint RegionBytes;
        public uint State, Protect, Type, Padding;
    }

    /// <summary>MEMORYSTATUSEX.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct MachineMemory
    {
        public uint Length, Load;
        public ulong TotalPhysical, AvailablePhysical, CommitLimit, CommitAvailable, TotalVirtual, AvailableVirtual,
            AvailableExtended;
    }

    /// <summary>PROCESS_MEMORY_COUNTERS_EX.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ProcessCounters
    {
        public uint Length, PageFaults;
        public nuint PeakWorkingSet, WorkingSet, PeakPagedPool, PagedPool, PeakNonPagedPool, NonPagedPool, Pagefile,
            PeakPagefile, Private;
    }

    /// <summary>JOBOBJECT_EXTENDED_LIMIT_INFORMATION.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct JobLimits
    {
        public long ProcessTime, JobTime;
        public uint Flags;
        public nuint LeastWorkingSet, MostWorkingSet;
        public uint ActiveProcesses;
        public nuint Affinity;
        public uint Priority, SchedulingClass;
        public ulong ReadOperations, WriteOperations, OtherOperations, ReadBytes, WriteBytes, OtherBytes;
        public nuint ProcessMemory, JobMemory, PeakProcessMemory, PeakJobMemory;
    }

    /// <summary>GROUP_AFFINITY.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct GroupAffinity
    {
        public nuint Mask;
        public ushort Group;
        public ushort Reserved0, Reserved1, Reserved2;
    }

    /// <summary>PROCESSOR_NUMBER.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ProcessorNumber
    {
        public ushort Group;
        public byte Number, Reserved;
    }
}
