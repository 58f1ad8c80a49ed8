using System.ComponentModel;
using System.Globalization;
using System.Runtime.InteropServices;

namespace NativeAlloc.Benchmarks.Shapes;

/// <summary>
/// Limits the addresses of this process to what it has and some more, as <c>ulimit -v</c> does, until disposed.
/// </summary>
internal sealed unsafe partial class AddressLimit : IDisposable
{
    private const int AddressSpace = 9; // RLIMIT_AS

    private readonly Limits _before;

    public AddressLimit(long moreBytes)
    {
        Limits limits;
        if (GetLimit(AddressSpace, &limits) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "getrlimit failed");
        _before = limits;
        Set(limits with { Soft = (ulong)(MappedBytes() + moreBytes) });
    }

    public void Dispose() => Set(_before);

    /// <summary>The first number is the size of all mappings, in pages of 4 KiB.</summary>
    private static long MappedBytes() =>
        4096 * long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0], CultureInfo.InvariantCulture);

    private static void Set(Limits limits)
    {
        if (SetLimit(AddressSpace, &limits) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), "setrlimit failed");
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static partial int GetLimit(int resource, Limits* limits);

    [LibraryImport("libc", EntryPoint = "setrlimit", SetLastError = true)]
    private static partial int SetLimit(int resource, Limits* limits);

    private record struct Limits(ulong Soft, ulong Hard);
}
