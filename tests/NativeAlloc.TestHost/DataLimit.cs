using NativeAlloc.Os;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process that may have no more memory (<c>ulimit -d</c>) for a moment: it moves some, which the system refuses
/// after it has unmapped the target, and looks whether the target is reserved still, and the source as it was.
/// </summary>
internal static unsafe class DataLimit
{
    internal const string Name = "data-limit";

    internal static int Run()
    {
        nuint bytes = 16 * VirtualMemory.PageBytes;
        nuint source = Reserve(bytes), target = Reserve(bytes);
        if (!VirtualMemory.TryCommit(source, bytes)) return Complain("no memory");
        Pattern.Fill((void*)source, bytes, 1);
        ulong* limits = stackalloc ulong[2]; // the soft one and the hard one
        if (GetLimit(DataBytes, limits) != 0) return Complain("the limit cannot be read");
        // Once where it works, so that all is compiled.
        if (MoveUnder(source, bytes, target, limits, limits) != true
            || MoveUnder(target, bytes, source, limits, limits) != true) return Complain("memory cannot be moved");
        if (!VirtualMemory.TryDecommit(target, bytes)) return Complain("no mappings");
        ulong* least = stackalloc ulong[] { VirtualMemory.PageBytes, limits[1] }; // 0 would be no limit
        if (MoveUnder(source, bytes, target, least, limits) != false) return Complain("the limit does not hold");
        Pattern.Check((void*)source, bytes, 1);
        if (!VirtualMemory.TryCommit(target, bytes)) return Complain("the target is not reserved any more");
        Pattern.CheckZero((void*)target, bytes);
        return 0;
    }

    // Null where the limit cannot be set.
    private static bool? MoveUnder(nuint source, nuint bytes, nuint target, ulong* during, ulong* after)
    {
        if (SetLimit(DataBytes, during) != 0) return null;
        bool moved = VirtualMemory.TryMove(source, bytes, target);
        return SetLimit(DataBytes, after) == 0 ? moved : null;
    }

    private static nuint Reserve(nuint bytes) => VirtualMemory.TryReserve(bytes, VirtualMemory.PageBytes,
        out nuint address) ? address : throw new OutOfMemoryException();
}
