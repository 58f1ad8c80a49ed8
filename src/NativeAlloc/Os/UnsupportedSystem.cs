using System.Runtime.Versioning;

// What the compiler says to those who build for these. It is not told of the three that are supported: then each call
// in a program that could run anywhere would be a warning. What has 32 bits is known at run time only.
[assembly: UnsupportedOSPlatform("browser")]
[assembly: UnsupportedOSPlatform("wasi")]
[assembly: UnsupportedOSPlatform("android")]
[assembly: UnsupportedOSPlatform("ios")]
[assembly: UnsupportedOSPlatform("tvos")]

namespace NativeAlloc.Os;

/// <summary>
/// A system that has no class of its own yet: it refuses everything and knows nothing. So static tables can be made,
/// empty, and the first call of the user throws what says why (<see cref="Platform.ThrowIfUnsupported"/>).
/// </summary>
internal sealed class UnsupportedSystem : SystemContract
{
    internal override bool ChargesCommit => false;

    internal override bool MovesMemory => false;

    internal override bool TryReserve(nuint bytes, nuint alignment, out nuint address) => Refuse(out address);

    internal override bool TryReserveForFiles(nuint bytes, nuint fileBytes, nuint alignment, out nuint address) =>
        Refuse(out address);

    internal override nuint FileShareOf(nuint bytes) => 0;

    internal override bool TryReserveLow(nuint bytes, out nuint address) => Refuse(out address);

    internal override bool TryCommit(nuint address, nuint bytes) => false;

    internal override bool TryPurge(nuint address, nuint bytes) => false;

    internal override bool TryProtect(nuint address, nuint bytes, bool accessible) => false;

    internal override bool TryDecommit(nuint address, nuint bytes) => false;

    internal override bool TryMove(nuint source, nuint bytes, nuint target) => false;

    internal override bool TryAdviseHuge(nuint address, nuint bytes) => false;

    internal override bool TryLock(nuint address, nuint bytes) => false;

    internal override bool TryUnlock(nuint address, nuint bytes) => false;

    internal override bool TryBind(nuint address, nuint bytes, int systemNode) => false;

    internal override void Release(nuint address, nuint bytes)
    {
    }

    internal override bool TryCreateFile(nuint bytes, out nint file)
    {
        file = -1;
        return false;
    }

    internal override bool TryGrowFile(nint file, nuint bytes) => false;

    internal override bool TryPurgeFile(nint file, nuint offset, nuint bytes) => false;

    internal override bool TryMapFile(nint file, nuint offset, nuint address, nuint bytes) => false;

    internal override bool TryUnmapFile(nuint address, nuint bytes) => false;

    internal override void CloseFile(nint file)
    {
    }

    internal override bool TryReadNodes(out int[] numbers)
    {
        numbers = [];
        return false;
    }

    internal override bool TryReadNodeDetails(int[] numbers, out int[][] processors, out int[][] distances)
    {
        processors = distances = [];
        return false;
    }

    internal override int CurrentProcessor() => 0;

    internal override ulong? Read(SystemFigure figure) => null;

    internal override unsafe bool TryReadResident(nuint address, nuint bytes, byte* resident) => false;

    internal override MemoryLoad ReadLoad() => default;

    internal override void Sleep(int microseconds) => Thread.Yield();

    private static bool Refuse(out nuint address)
    {
        address = 0;
        return false;
    }
}
