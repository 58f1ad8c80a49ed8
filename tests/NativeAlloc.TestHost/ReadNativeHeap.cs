using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>Reads the figures of glibc's heap, in a process that may have another malloc beside it.</summary>
internal static class ReadNativeHeap
{
    internal const string Name = "read-native-heap";

    internal static int Run() => NativeHeapReport.Read().Arenas >= 1 ? 0 : Complain("glibc has no arena");
}
