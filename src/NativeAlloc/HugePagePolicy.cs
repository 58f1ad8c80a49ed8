namespace NativeAlloc;

/// <summary>
/// Whether the allocator asks the system for huge pages (2 MiB on most machines). What the system does of its own
/// accord is not touched.
/// </summary>
public enum HugePagePolicy
{
    /// <summary>
    /// The default: for blocks of 64 MiB and more, and for those from 8 MiB on while freed blocks of such sizes had
    /// been written throughout. So a block that is written here and there has little more memory than was written.
    /// </summary>
    Auto,

    /// <summary>Not at all: memory grows by what is touched.</summary>
    Never,

    /// <summary>
    /// For all blocks from 8 MiB on. The first touch of large memory is much faster, and brings up to 2 MiB each.
    /// </summary>
    Always,
}
