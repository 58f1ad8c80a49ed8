using NativeAlloc.Os;

namespace NativeAlloc.Tests.Mapping;

/// <summary>Leaves room for only so many more mappings until it is disposed.</summary>
internal sealed class MappingLimit : IDisposable
{
    private readonly int _before = MappingBudget.Limit;

    internal MappingLimit(int more) => MappingBudget.Limit = MappingBudget.InUse + more;

    public void Dispose() => MappingBudget.Limit = _before;
}
