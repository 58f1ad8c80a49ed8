using NativeAlloc.Os;

namespace NativeAlloc.Tests.Os;

/// <summary>Makes operating system calls fail until it is disposed.</summary>
internal sealed class InjectedFaults : IDisposable
{
    internal InjectedFaults(Func<OsCall, bool> fails) => OsFaults.Fails = fails;

    internal InjectedFaults(params OsCall[] calls)
        : this(call => calls.Contains(call))
    {
    }

    public void Dispose() => OsFaults.Fails = null;
}
