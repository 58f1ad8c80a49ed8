using NativeAlloc.Os;

namespace NativeAlloc.Tests.Os;

/// <summary>Makes operating system calls fail until it is disposed.</summary>
internal sealed class InjectedFaults : IDisposable
{
    internal InjectedFaults(Func<OsCall, bool> fails) => OsFaults.Fails = fails;

    // Tests that refuse new sections take all pages there are. Huge pages would make all of them resident.
    internal InjectedFaults(params OsCall[] calls)
        : this(call => calls.Contains(call) || (call == OsCall.Collapse && calls.Contains(OsCall.Commit)))
    {
    }

    public void Dispose() => OsFaults.Fails = null;
}
