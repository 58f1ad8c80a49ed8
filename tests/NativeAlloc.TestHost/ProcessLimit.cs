using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>Limits of the process (<c>ulimit</c>): two numbers each, the soft one and the hard one.</summary>
internal static unsafe partial class ProcessLimit
{
    // RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_AS
    internal const int FileBytes = 1, DataBytes = 2, LockedBytes = 8, AddressBytes = 9;

    /// <summary>Reads a limit; not 0 where that fails.</summary>
    [LibraryImport("libc", EntryPoint = "getrlimit")]
    internal static partial int GetLimit(int resource, ulong* limits);

    /// <summary>Sets a limit; not 0 where that fails.</summary>
    [LibraryImport("libc", EntryPoint = "setrlimit")]
    internal static partial int SetLimit(int resource, ulong* limits);

    /// <summary>Says on the error stream what went wrong; the exit code of a process that fails.</summary>
    internal static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 1;
    }
}
