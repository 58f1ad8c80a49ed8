namespace NativeAlloc.Common;

/// <summary>
/// What users have registered, in the order of registration; the same item may be there twice. Any thread, by Volatile
/// and Interlocked: a wait for a lock could be interrupted.
/// </summary>
internal sealed class Registrations<T>
    where T : class
{
    private Registration[] _all = [];

    /// <summary>Those that are registered at this moment.</summary>
    internal ReadOnlySpan<Registration> All => Volatile.Read(ref _all);

    /// <summary>Adds one; the answer takes it out again when it is disposed of.</summary>
    internal IDisposable Register(T item)
    {
        Registration added = new(this, item);
        Change(all => [.. all, added]);
        return added;
    }

    private void Change(Func<Registration[], Registration[]> change)
    {
        Registration[] before, after;
        do
        {
            before = Volatile.Read(ref _all);
            after = change(before);
        }
        while (Interlocked.CompareExchange(ref _all, after, before) != before);
    }

    /// <summary>An item that was registered, until this is disposed of.</summary>
    internal sealed class Registration(Registrations<T> owner, T item) : IDisposable
    {
        internal T Item { get; } = item;

        public void Dispose() => owner.Change(all => [.. all.Where(other => other != this)]);
    }
}
