using System.Runtime.InteropServices;

namespace NativeAlloc;

/// <summary>
/// A block of native memory as a <see cref="SafeBuffer"/>: for interop signatures that take a <see cref="SafeHandle"/>,
/// and for <see cref="UnmanagedMemoryStream"/> and <see cref="UnmanagedMemoryAccessor"/>.
/// </summary>
/// <remarks>
/// All members may be called from any thread. As every safe handle it is freed when it was disposed of and no call uses
/// it any more, or else by its finalizer. So use it for signatures, and a <see cref="NativeBuffer{T}"/> where spans of
/// the memory are handed on.
/// </remarks>
public sealed unsafe class NativeMemoryHandle : SafeBuffer
{
    /// <summary>Allocates a block.</summary>
    /// <param name="byteCount">Bytes, 0 or more.</param>
    /// <param name="zeroed">The block is zero bytes; else what it holds is undefined.</param>
    /// <exception cref="OutOfMemoryException">There is not that much memory.</exception>
    public NativeMemoryHandle(nuint byteCount, bool zeroed = false)
        : base(ownsHandle: true)
    {
        void* block = zeroed ? NativeAllocator.AllocZeroed(byteCount) : NativeAllocator.Alloc(byteCount);
        SetHandle((nint)block);
        Initialize(byteCount);
    }

    /// <summary>Frees the block.</summary>
    /// <returns>False where the allocator did not know the block; nothing was freed then.</returns>
    protected override bool ReleaseHandle()
    {
        try
        {
            NativeAllocator.Free((void*)handle);
            return true;
        }
        catch (ArgumentException)
        {
            return false; // it may run in a finalizer, which no exception may leave
        }
    }
}
