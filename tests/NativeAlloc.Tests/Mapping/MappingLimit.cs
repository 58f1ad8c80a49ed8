using NativeAlloc.Os;

namespace NativeAlloc.Tests.Mapping;

/// <summary>
/// Leaves room for only so many more mappings until it is disposed. What the test has let the library keep can make
/// more room; what other tests left cannot, as that is given back before.
/// </summary>
internal sealed class MappingLimit : IDisposable
{
    private readonly int _before = MappingBudget.Limit;

    internal MappingLimit(int more) => MappingBudget.Limit = MappingBudget.InUse + more;

    public void Dispose() => MappingBudget.Limit = _before;
}
