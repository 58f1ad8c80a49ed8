namespace NativeAlloc.Os;

/// <summary>Why there is no memory.</summary>
internal enum RefusalReason : byte
{
    None,

    /// <summary>Neither the library's free memory nor the system has it.</summary>
    OutOfMemory,

    /// <summary>The vmalloc space has no hole of this size.</summary>
    OutOfAddresses,

    /// <summary>The process has as many mappings as the library allows itself.</summary>
    OutOfMappings,

    /// <summary>The system does not lock so much into memory.</summary>
    LockLimit,

    /// <summary>The process would have more memory than its resident limit.</summary>
    ResidentLimit,
}

/// <summary>
/// The answer of a layer that could not give memory: it goes up as it is, to the operation that tries again or throws.
/// </summary>
/// <param name="Reason">Why; none where there is memory.</param>
/// <param name="Bytes">What could not be charged, where the resident limit was in the way: a slab may need more than
/// its object.</param>
internal readonly record struct Refusal(RefusalReason Reason, nuint Bytes = 0)
{
    internal static Refusal None => default;

    internal static Refusal OutOfMemory => new(RefusalReason.OutOfMemory);

    internal static Refusal OutOfMappings => new(RefusalReason.OutOfMappings);

    internal static Refusal LockLimit => new(RefusalReason.LockLimit);

    internal static Refusal ResidentLimit(nuint bytes) => new(RefusalReason.ResidentLimit, bytes);

    internal bool IsResidentLimit => Reason == RefusalReason.ResidentLimit;
}
