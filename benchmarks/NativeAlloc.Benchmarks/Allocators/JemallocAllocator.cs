namespace NativeAlloc.Benchmarks.Allocators;

/// <summary>
/// jemalloc, called through function pointers to the C names that its own library exports.
/// <para>
/// Static read-only function pointers become constants in optimised code, and a call that suppresses the GC transition
/// is a plain call: no library written in C can be reached from .NET any cheaper, which makes this the bar to clear.
/// </para>
/// </summary>
internal readonly unsafe struct JemallocAllocator : IAllocator
{
    private static readonly CLibrary.Exports s_exports = CLibrary.Jemalloc.Load();

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, void*> s_malloc =
        (delegate* unmanaged[SuppressGCTransition]<nuint, void*>)s_exports["malloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*> s_calloc =
        (delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*>)s_exports["calloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*> s_aligned =
        (delegate* unmanaged[SuppressGCTransition]<nuint, nuint, void*>)s_exports["aligned_alloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, nuint, void*> s_realloc =
        (delegate* unmanaged[SuppressGCTransition]<void*, nuint, void*>)s_exports["realloc"];

    private static readonly delegate* unmanaged[SuppressGCTransition]<void*, void> s_free =
        (delegate* unmanaged[SuppressGCTransition]<void*, void>)s_exports["free"];

    private static readonly delegate* unmanaged<byte*, void*, void*, void*, nuint, int> s_control =
        (delegate* unmanaged<byte*, void*, void*, void*, nuint, int>)s_exports["mallctl"];

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

    public static void Trim()
    {
        Control("thread.tcache.flush\0"u8);
        Control("arena.4096.purge\0"u8); // 4096 stands for all arenas
    }

    private static void Control(ReadOnlySpan<byte> name)
    {
        fixed (byte* bytes = name)
        {
            if (s_control(bytes, null, null, null, 0) is var error && error != 0)
                throw new InvalidOperationException($"jemalloc returns error {error} for {System.Text.Encoding.ASCII.GetString(name[..^1])}");
        }
    }
}
