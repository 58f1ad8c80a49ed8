using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace NativeAlloc;

/// <summary>A <see cref="SlabCache"/> whose objects are of one type.</summary>
/// <typeparam name="T">The type; its size is the object's.</typeparam>
[SuppressMessage("Naming", "CA1710", Justification = "A cache in the allocator's sense, not a collection.")]
public sealed unsafe class SlabCache<T> : IDisposable
    where T : unmanaged
{
    private readonly SlabCache _cache;

    /// <summary>Makes a cache, as <see cref="SlabCache"/>'s constructor does.</summary>
    /// <param name="name">What it is called in reports; the type's name if null.</param>
    /// <param name="alignment">A power of two up to 64 KiB; 0 for 16.</param>
    /// <param name="constructor">Runs once for each object when its slab is made; null for none.</param>
    /// <exception cref="ArgumentException">A name that is empty or has white space or control characters, or an
    /// alignment that is no power of two.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The type is larger than 512 KiB, or the alignment than 64
    /// KiB.</exception>
    /// <exception cref="InvalidOperationException">There are as many caches as there can be.</exception>
    /// <exception cref="OutOfMemoryException">There is no memory to describe another cache.</exception>
    public SlabCache(string? name = null, nuint alignment = 0, delegate*<T*, void> constructor = null) =>
        _cache =
            new SlabCache(name ?? typeof(T).Name, (nuint)sizeof(T), alignment, (delegate*<void*, void>)constructor);

    /// <inheritdoc cref="SlabCache.Name"/>
    public string Name => _cache.Name;

    /// <inheritdoc cref="SlabCache.ObjectSize"/>
    public nuint ObjectSize => _cache.ObjectSize;

    /// <inheritdoc cref="SlabCache.Alloc"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public T* Alloc() => (T*)_cache.Alloc();

    /// <inheritdoc cref="SlabCache.Free"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Free(T* ptr) => _cache.Free(ptr);

    /// <inheritdoc cref="SlabCache.Shrink"/>
    public int Shrink() => _cache.Shrink();

    /// <inheritdoc cref="SlabCache.Dispose"/>
    public void Dispose() => _cache.Dispose();
}
