namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// The base of test classes each of whose tests leaves the allocator as it was found: nothing more is live, all layers
/// are in order.
/// </summary>
public abstract class LeakCheckedTests : IDisposable
{
    private readonly LeakCheck _leaks = new();

    public void Dispose()
    {
        _leaks.Finish(); // a failure of the test itself is reported beside this one
        GC.SuppressFinalize(this);
    }
}
