namespace NativeAlloc;

/// <summary>
/// Whether the allocator asks the system for huge pages (2 MiB on most machines). What the system does of its own
/// accord is not touched.
/// </summary>
public enum HugePagePolicy
{
    /// <summary>Where that is faster and a huge page more or less is nothing to the heap: the default.</summary>
    Auto,

    /// <summary>Not at all: memory grows by what is touched.</summary>
    Never,
}
