using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using NativeAlloc.Checking;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.Native;

/// <summary>
/// What <c>front.c</c> learns when the runtime is up: the functions to call, and the addresses in which all blocks lie.
/// The same fields in the same order stand there.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FrontTable
{
    public delegate* unmanaged[Cdecl]<nuint, void*> Malloc;
    public delegate* unmanaged[Cdecl]<nuint, nuint, void*> Calloc;
    public delegate* unmanaged[Cdecl]<void*, nuint, void*> Realloc;
    public delegate* unmanaged[Cdecl]<void*, void> Free;
    public delegate* unmanaged[Cdecl]<nuint, nuint, void*> AlignedAlloc;
    public delegate* unmanaged[Cdecl]<void*, nuint> UsableSize;
    public delegate* unmanaged[Cdecl]<nuint> Trim;

    public nuint PagesBase, PagesBytes;
    public nuint AreasBase, AreasBytes;

    /// <summary>Of guard sampling; 0 bytes without it.</summary>
    public nuint GuardBase, GuardBytes;

    /// <summary>Why the start failed: UTF-8, with a zero at its end.</summary>
    public fixed byte Error[ErrorBytes];

    internal const int ErrorBytes = 512;
}

/// <summary>The entry point that <c>front.c</c> calls first, and the functions that have no callback in the
/// library.</summary>
internal static unsafe class Start
{
    /// <summary>
    /// Sets the allocator up and fills the table. 0 where that failed: nothing else may be called then.
    /// </summary>
    [UnmanagedCallersOnly(EntryPoint = "nativealloc_start")]
    internal static int Begin(FrontTable* table)
    {
        try
        {
            NativeAllocator.Free(NativeAllocator.Alloc(1)); // which throws for a wrong option, too
            table->Malloc = NativeCallbacks.Malloc;
            table->Calloc = NativeCallbacks.Calloc;
            table->Realloc = NativeCallbacks.Realloc;
            table->Free = NativeCallbacks.Free;
            table->AlignedAlloc = NativeCallbacks.AlignedAlloc;
            table->UsableSize = NativeCallbacks.UsableSize;
            table->Trim = &Trim;
            table->PagesBase = LinearRegion.Base;
            table->PagesBytes = LinearRegion.Bytes;
            table->AreasBase = VmallocSpace.Base;
            table->AreasBytes = VmallocSpace.Bytes;
            if (Options.Guard == 0) return 1;
            NativeAllocator.Free(GuardedBlocks.Alloc(1, 1)); // the first sets the addresses of all up
            table->GuardBase = GuardedBlocks.Base;
            table->GuardBytes = GuardedBlocks.Bytes;
            return 1;
        }
        catch (Exception error)
        {
            Span<byte> text = new(table->Error, FrontTable.ErrorBytes - 1);
            Encoding.UTF8.TryGetBytes(error.Message, text, out _);
            return 0;
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static nuint Trim()
    {
        try
        {
            return NativeAllocator.Trim();
        }
        catch (Exception)
        {
            return 0;
        }
    }
}
