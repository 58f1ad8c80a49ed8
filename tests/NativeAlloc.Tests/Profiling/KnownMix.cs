using System.Runtime.CompilerServices;

namespace NativeAlloc.Tests.Profiling;

/// <summary>
/// Allocates and frees at places that are known: what each of them holds in the end is the truth that a profile is
/// compared with.
/// </summary>
internal sealed unsafe class KnownMix : IDisposable
{
    private readonly List<nint> _held = [];

    /// <summary>Bytes that each place holds, in the sizes that the allocator keeps for them.</summary>
    internal Dictionary<string, long> Truth { get; } = [];

    /// <summary>
    /// So many bytes at each place. Before each block that is held, one of the same size is allocated elsewhere and
    /// freed at once: the block that is held takes its place.
    /// </summary>
    internal KnownMix(long bytesEach)
    {
        Run(nameof(HoldTiny), bytesEach / 4, &HoldTiny, 24);
        Run(nameof(HoldSmall), bytesEach, &HoldSmall, 100);
        Run(nameof(HoldMedium), bytesEach, &HoldMedium, 3000);
        Run(nameof(HoldWide), bytesEach, &HoldWide, 100_000);
        Run(nameof(HoldLarge), bytesEach, &HoldLarge, 800_000);
        Run(nameof(HoldHuge), bytesEach, &HoldHuge, 3 << 20);
    }

    public void Dispose()
    {
        foreach (nint block in _held) NativeAllocator.Free((void*)block);
    }

    private void Run(string place, long bytes, delegate*<nuint, void*> hold, nuint size)
    {
        long held = 0;
        for (int i = 0; held < bytes; i++)
        {
            NativeAllocator.Free(FreeAtOnce(size));
            void* block = hold(size);
            if (i % 3 == 2) // as many as are held twice over
            {
                NativeAllocator.Free(block);
                continue;
            }
            _held.Add((nint)block);
            held += (long)NativeAllocator.UsableSize(block);
        }
        Truth[place] = held;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* FreeAtOnce(nuint bytes) => NativeAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldTiny(nuint bytes) => NativeAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldSmall(nuint bytes) => NativeAllocator.AllocZeroed(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldMedium(nuint bytes) => NativeAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldWide(nuint bytes) => NativeAllocator.AlignedAlloc(bytes, 64);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldLarge(nuint bytes) => NativeAllocator.Alloc(bytes);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* HoldHuge(nuint bytes) => NativeAllocator.Alloc(bytes);
}
