using NativeAlloc.Os;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Counts the calls that map or unmap parts of a memory file until it is disposed, and makes some of them fail.
/// </summary>
internal sealed class MemoryFileCalls : IDisposable
{
    private readonly Func<int, bool> _fails;
    private int _count;

    /// <param name="fails">Which of them are to fail, by their number from 0; none if left out.</param>
    internal MemoryFileCalls(Func<int, bool>? fails = null)
    {
        _fails = fails ?? (static _ => false);
        OsFaults.Fails = call => call == OsCall.MapFile && _fails(Interlocked.Increment(ref _count) - 1);
    }

    internal int Count => Volatile.Read(ref _count);

    public void Dispose() => OsFaults.Fails = null;
}
