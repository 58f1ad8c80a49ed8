namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// A C allocator, called through function pointers to the names that its own library exports.
/// <para>
/// Static read-only function pointers become constants in optimised code, and a call that suppresses the GC transition
/// is a plain call: no library written in C can be reached from .NET any cheaper, which makes this the bar to clear.
/// </para>
/// </summary>
internal readonly unsafe struct CAllocator<TLibrary> : IAllocator
    where TLibrary : struct, ICLibrary
{
    private static readonly CLibrary.Exports s_exports = TLibrary.Library.Load();

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, void*> s_malloc =
        (delegate* unmanaged[SuppressGCTransition]<nuint, void*>)s_exports[TLibrary.Library.Prefix + "malloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*> s_calloc =
        (delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*>)s_exports[TLibrary.Library.Prefix + "calloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*> s_aligned =
        (delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*>)s_exports[TLibrary.Library.AlignedName];

    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, nuint, void*> s_realloc =
        (delegate* unmanaged[SuppressGCTransition]<void*, nuint, void*>)s_exports[TLibrary.Library.Prefix + "realloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, void> s_free =
        (delegate* unmanaged[SuppressGCTransition]<void*, void>)s_exports[TLibrary.Library.Prefix + "free"];

    public static void* Alloc(nuint size) => s_malloc(size);

    public static void* AllocZeroed(nuint size) => s_calloc(1, size);

    public static void* AlignedAlloc(nuint size, nuint alignment) => s_aligned(alignment, size);

    public static void* Realloc(void* block, nuint size) => s_realloc(block, size);

    public static void Free(void* block) => s_free(block);

    public static void AlignedFree(void* block) => s_free(block);

    public static void* AllocPages(int order) => Alloc(IAllocator.BytesOf(order));

    public static void FreePages(void* block, int order) => Free(block);

    public static void* AllocLarge(nuint size) => Alloc(size);

    public static void* ReallocLarge(void* block, nuint oldSize, nuint size) => Realloc(block, size);

    public static void FreeLarge(void* block, nuint size) => Free(block);

    public static void Trim() => TLibrary.Library.Purge(s_exports);
}
