using System.Runtime.InteropServices;

namespace NativeAlloc.Checking;

/// <summary>Whose members a block was allocated by, and so may be freed by.</summary>
internal enum BlockFamily : byte
{
    /// <summary><c>NativeAllocator</c>, and what is made of it.</summary>
    Allocator,

    /// <summary>A slab cache.</summary>
    Cache,

    /// <summary><c>Vmalloc</c>.</summary>
    Area,
}

/// <summary>
/// What check mode knows about one block, apart from the block itself. Around the user's bytes lie two red zones, and
/// all of it lies in an inner block, which is what the layers below gave out:
/// <code>
/// Inner          Address - Zone     Address        Address + Bytes        End
///   untouched      red zone           the user's     red zone, up to
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CheckedBlock
{
    /// <summary>Where the inner block begins: what the table is searched for.</summary>
    public nuint Inner;

    /// <summary>The user's block.</summary>
    public nuint Address;

    /// <summary>Bytes that the user asked for.</summary>
    public nuint Bytes;

    /// <summary>Where the second red zone ends.</summary>
    public nuint End;

    /// <summary>See <see cref="CallStacks"/>; 0 for unknown, and for a block that was not freed.</summary>
    public int AllocStack, FreeStack;

    /// <summary>Numbers of the threads.</summary>
    public int AllocThread, FreeThread;

    /// <summary>The next of the same bucket, and of the quarantine; 0 for none.</summary>
    public uint NextInBucket, NextInQuarantine;

    /// <summary>The index of the slab cache; 0 for other families.</summary>
    public int Cache;

    public BlockFamily Family;

    /// <summary>1 once the user has freed it: it lies in the quarantine.</summary>
    public byte IsFree;

    /// <summary>1 where freed memory stays as it is, for a constructor's sake.</summary>
    public byte KeepsContents;
}
