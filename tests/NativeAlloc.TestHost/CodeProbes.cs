using System.Runtime.CompilerServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// Callers of the fast paths, each in a method of its own, called until the runtime has compiled them for good. What it
/// compiled is read from its listing, which the one who starts this process asks for by environment variables.
/// </summary>
internal static unsafe class CodeProbes
{
    internal const string Name = "code-probes";

    /// <summary>The methods, as the listing names them.</summary>
    internal static readonly string[] Methods =
    [
        nameof(AllocVariable), nameof(AllocConstant), nameof(AllocOrNullVariable), nameof(Free), nameof(CacheAlloc),
        nameof(CacheFree), nameof(PageAlloc), nameof(PageFree), nameof(Usable), nameof(ReallocInPlace),
        nameof(TryReallocInPlace),
    ];

    /// <summary>The one that frees two objects and allocates two, all inlined.</summary>
    internal const string PushesAndPops = nameof(FreeTwoAndAllocTwo);

    /// <summary>The one whose size is a constant.</summary>
    internal const string ConstantSize = nameof(AllocConstant);

    // Enough for the runtime to call a method hot twice, first to watch it and then for good; and pauses in which it
    // does the work in the background.
    private const int Rounds = 40, CallsPerRound = 500, PauseMilliseconds = 10;

    internal static int Run()
    {
        using SlabCache cache = new("probes", 200);
        nuint bytes = (nuint)Environment.ProcessorCount % 10 + 54; // not known to the compiler
        nint one = (nint)AllocConstant(), two = (nint)AllocConstant();
        for (int round = 0; round < Rounds; round++)
        {
            for (int i = 0; i < CallsPerRound; i++)
            {
                Free(AllocVariable(bytes));
                Free(AllocConstant());
                Free(AllocOrNullVariable(bytes));
                CacheFree(cache, CacheAlloc(cache));
                PageFree(PageAlloc());
                FreeTwoAndAllocTwo(ref one, ref two);
                void* block = (void*)one;
                if (Usable(block) < 64 || ReallocInPlace(block, bytes) != block || !TryReallocInPlace(ref block, bytes))
                    return 1;
            }
            Thread.Sleep(PauseMilliseconds);
        }
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocVariable(nuint bytes) => NativeAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocConstant() => NativeAllocator.Alloc(64);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* AllocOrNullVariable(nuint bytes) =>
        NativeAllocator.TryAlloc(bytes, out void* pointer) ? pointer : null;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Free(void* ptr) => NativeAllocator.Free(ptr);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* CacheAlloc(SlabCache cache) => cache.Alloc();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CacheFree(SlabCache cache, void* ptr) => cache.Free(ptr);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Page PageAlloc() => PageAllocator.AllocPage();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void PageFree(Page page) => PageAllocator.FreePage(page);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nuint Usable(void* ptr) => NativeAllocator.UsableSize(ptr);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* ReallocInPlace(void* ptr, nuint bytes) => NativeAllocator.Realloc(ptr, bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryReallocInPlace(ref void* ptr, nuint bytes) => NativeAllocator.TryRealloc(ref ptr, bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void FreeTwoAndAllocTwo(ref nint one, ref nint two)
    {
        NativeAllocator.Free((void*)one);
        NativeAllocator.Free((void*)two);
        two = (nint)NativeAllocator.Alloc(64);
        one = (nint)NativeAllocator.Alloc(64);
    }
}
