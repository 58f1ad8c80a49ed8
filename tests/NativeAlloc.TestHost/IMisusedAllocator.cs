using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>An allocator that <see cref="Misuse"/> uses wrongly.</summary>
internal unsafe interface IMisusedAllocator
{
    void* Alloc(nuint bytes);

    void Free(void* pointer);

    void* Realloc(void* pointer, nuint bytes);

    nuint UsableSize(void* pointer);

    /// <summary>Gives back what it can, and looks at what it has.</summary>
    void Settle();
}

/// <summary>This library.</summary>
internal sealed unsafe class OwnAllocator : IMisusedAllocator
{
    public void* Alloc(nuint bytes) => NativeAllocator.Alloc(bytes);

    public void Free(void* pointer) => NativeAllocator.Free(pointer);

    public void* Realloc(void* pointer, nuint bytes) => NativeAllocator.Realloc(pointer, bytes);

    public nuint UsableSize(void* pointer) => NativeAllocator.UsableSize(pointer);

    public void Settle()
    {
        NativeAllocator.Check();
        NativeAllocator.Trim();
    }
}

/// <summary>A C allocator in a shared library, by the names that its functions have there.</summary>
internal sealed unsafe class ForeignAllocator : IMisusedAllocator
{
    private readonly delegate* unmanaged[Cdecl]<nuint, void*> _alloc;
    private readonly delegate* unmanaged[Cdecl]<void*, void> _free;
    private readonly delegate* unmanaged[Cdecl]<void*, nuint, void*> _realloc;
    private readonly delegate* unmanaged[Cdecl]<void*, nuint> _usableSize;

    internal ForeignAllocator(string library, string prefix)
    {
        nint handle = NativeLibrary.Load(library);
        _alloc = (delegate* unmanaged[Cdecl]<nuint, void*>)NativeLibrary.GetExport(handle, prefix + "malloc");
        _free = (delegate* unmanaged[Cdecl]<void*, void>)NativeLibrary.GetExport(handle, prefix + "free");
        _realloc = (delegate* unmanaged[Cdecl]<void*, nuint, void*>)NativeLibrary.GetExport(handle, prefix + "realloc");
        string size = prefix == "mi_" ? "usable_size" : "malloc_usable_size";
        _usableSize = (delegate* unmanaged[Cdecl]<void*, nuint>)NativeLibrary.GetExport(handle, prefix + size);
    }

    public void* Alloc(nuint bytes) => _alloc(bytes);

    public void Free(void* pointer) => _free(pointer);

    public void* Realloc(void* pointer, nuint bytes) => _realloc(pointer, bytes);

    public nuint UsableSize(void* pointer) => _usableSize(pointer);

    public void Settle()
    {
    }
}
