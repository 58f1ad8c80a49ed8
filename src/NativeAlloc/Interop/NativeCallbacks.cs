using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeAlloc.Common;

namespace NativeAlloc;

/// <summary>
/// C function pointers for native libraries that take an allocator of their user's: the signatures of <c>malloc</c>,
/// <c>calloc</c>, <c>realloc</c>, <c>free</c>, <c>aligned_alloc</c> and <c>malloc_usable_size</c>.
/// </summary>
/// <remarks>
/// <para>They may be called on any thread, also one that the runtime has never seen, and after the program's Main has
/// ended. None of them throws. None allocates on the managed heap, but for the first call of a thread, and where stacks
/// are kept: in check mode, of blocks that guard sampling takes, and of samples while
/// <see cref="AllocationProfiler.WithLines"/> is set. Where there is no memory they return null, and the old block
/// stands.</para>
/// <para>Blocks of these callbacks and of <see cref="NativeAllocator"/> are the same: each frees what the other has
/// allocated. A pointer that is no block is a fault that no error code of C can tell: it ends the process with a
/// message.</para>
/// <para>Do not call them in a signal handler, nor allocate in code that runs when a native thread ends.</para>
/// </remarks>
public static unsafe class NativeCallbacks
{
    /// <summary><c>void *malloc(size_t size)</c>: a block at a multiple of 16; of 0 bytes a unique one.</summary>
    public static delegate* unmanaged[Cdecl]<nuint, void*> Malloc => &MallocCore;

    /// <summary><c>void *calloc(size_t count, size_t size)</c>: a block of zero bytes.</summary>
    public static delegate* unmanaged[Cdecl]<nuint, nuint, void*> Calloc => &CallocCore;

    /// <summary>
    /// <c>void *realloc(void *block, size_t size)</c>: null allocates; a size of 0 leaves a unique block, and does not
    /// free.
    /// </summary>
    public static delegate* unmanaged[Cdecl]<void*, nuint, void*> Realloc => &ReallocCore;

    /// <summary><c>void free(void *block)</c>: null does nothing.</summary>
    public static delegate* unmanaged[Cdecl]<void*, void> Free => &FreeCore;

    /// <summary>
    /// <c>void *aligned_alloc(size_t alignment, size_t size)</c>: any size, and any power of two as the alignment; null
    /// for another.
    /// </summary>
    public static delegate* unmanaged[Cdecl]<nuint, nuint, void*> AlignedAlloc => &AlignedAllocCore;

    /// <summary><c>size_t malloc_usable_size(void *block)</c>: null has 0 bytes.</summary>
    public static delegate* unmanaged[Cdecl]<void*, nuint> UsableSize => &UsableSizeCore;

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* MallocCore(nuint size)
    {
        try
        {
            NativeAllocator.TryAlloc(size, out void* block);
            return block;
        }
        catch (Exception)
        {
            return null; // a system without support, or a managed heap that is full
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* CallocCore(nuint count, nuint size)
    {
        try
        {
            nuint bytes = unchecked(count * size);
            if (Math.BigMul(count, size, out _) != 0) return null;
            NativeAllocator.TryAllocZeroed(bytes, out void* block);
            return block;
        }
        catch (Exception)
        {
            return null;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* ReallocCore(void* block, nuint size)
    {
        try
        {
            return NativeAllocator.TryRealloc(ref block, size) ? block : null;
        }
        catch (ArgumentException error)
        {
            ThrowHelper.StopOnBadCallback("realloc", error);
            return null;
        }
        catch (Exception)
        {
            return null;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void FreeCore(void* block)
    {
        try
        {
            NativeAllocator.Free(block);
        }
        catch (Exception error)
        {
            ThrowHelper.StopOnBadCallback("free", error);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* AlignedAllocCore(nuint alignment, nuint size)
    {
        try
        {
            if (!nuint.IsPow2(alignment)) return null;
            NativeAllocator.TryAlignedAlloc(size, alignment, out void* block);
            return block;
        }
        catch (Exception)
        {
            return null;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static nuint UsableSizeCore(void* block)
    {
        try
        {
            return NativeAllocator.UsableSize(block);
        }
        catch (Exception error)
        {
            ThrowHelper.StopOnBadCallback("malloc_usable_size", error);
            return 0;
        }
    }
}
