using System.Collections.Immutable;
using Microsoft.CodeAnalysis;

namespace NativeAlloc.Analyzers;

/// <summary>Which calls make blocks, and which free them, of each family that must not be mixed.</summary>
public static class MemoryFamily
{
    private const string Marshal = "System.Runtime.InteropServices.Marshal",
        NativeMemory = "System.Runtime.InteropServices.NativeMemory";

    private const string Own = "NativeAlloc";

    /// <summary>The members of <c>Marshal</c> that have a twin in <c>HGlobal</c>.</summary>
    private static readonly ImmutableHashSet<string> s_ofHGlobal = ImmutableHashSet.Create("AllocHGlobal",
        "ReAllocHGlobal", "FreeHGlobal", "StringToHGlobalAnsi", "StringToHGlobalUni", "StringToHGlobalAuto",
        "ZeroFreeGlobalAllocAnsi", "ZeroFreeGlobalAllocUnicode", "SecureStringToGlobalAllocAnsi",
        "SecureStringToGlobalAllocUnicode");

    /// <summary>The class of NativeAlloc that has the same member; null where none has.</summary>
    public static string? TwinOf(IMethodSymbol method)
    {
        string type = method.ContainingType.ToDisplayString();
        return type == Marshal && s_ofHGlobal.Contains(method.Name) ? "HGlobal"
            : type == NativeMemory ? "NativeAllocator" : null;
    }

    /// <summary>The family of what a call allocates; null where it allocates nothing.</summary>
    public static string? OfAllocation(IMethodSymbol method)
    {
        string type = method.ContainingType.ToDisplayString(), name = method.Name;
        switch (type)
        {
            case Marshal when name is "AllocHGlobal" or "ReAllocHGlobal"
                || name.StartsWith("StringToHGlobal") || name.StartsWith("SecureStringToGlobalAlloc"):
                return "Marshal.AllocHGlobal";
            case Marshal when name is "AllocCoTaskMem" or "ReAllocCoTaskMem"
                || name.StartsWith("StringToCoTaskMem") || name.StartsWith("SecureStringToCoTaskMem"):
                return "Marshal.AllocCoTaskMem";
            case NativeMemory when name is "AlignedAlloc" or "AlignedRealloc":
                return "NativeMemory.AlignedAlloc";
            case NativeMemory when name is "Alloc" or "AllocZeroed" or "Realloc":
                return "NativeMemory.Alloc";
            case "NativeAlloc.NativeAllocator" when name is "Alloc" or "AllocZeroed" or "AlignedAlloc" or "Realloc"
                or "AlignedRealloc":
            case "NativeAlloc.Vmalloc" when name is "Alloc" or "AllocZeroed" or "Realloc":
            case "NativeAlloc.HGlobal" when name is "AllocHGlobal" or "ReAllocHGlobal"
                || name.StartsWith("StringTo") || name.StartsWith("SecureStringTo"):
                return Own;
            default:
                return null;
        }
    }

    /// <summary>The family of what a call frees; null where it frees nothing.</summary>
    public static string? OfFree(IMethodSymbol method)
    {
        string type = method.ContainingType.ToDisplayString(), name = method.Name;
        switch (type)
        {
            case Marshal when name is "FreeHGlobal" || name.StartsWith("ZeroFreeGlobalAlloc"):
                return "Marshal.AllocHGlobal";
            case Marshal when name is "FreeCoTaskMem" || name.StartsWith("ZeroFreeCoTaskMem"):
                return "Marshal.AllocCoTaskMem";
            case NativeMemory when name == "AlignedFree":
                return "NativeMemory.AlignedAlloc";
            case NativeMemory when name == "Free":
                return "NativeMemory.Alloc";
            case "NativeAlloc.NativeAllocator" when name is "Free" or "AlignedFree":
            case "NativeAlloc.Vmalloc" when name == "Free":
            case "NativeAlloc.HGlobal" when name == "FreeHGlobal" || name.StartsWith("ZeroFree"):
                return Own;
            default:
                return null;
        }
    }

    /// <summary>Whether a call gives a block another size: it frees what it gets, and allocates.</summary>
    public static bool IsRealloc(IMethodSymbol method) =>
        OfAllocation(method) != null &&
        method.Name.IndexOf("ealloc", System.StringComparison.OrdinalIgnoreCase) >= 0;

    /// <summary>
    /// Whether a type keeps native memory until it is disposed of, without a finalizer that frees it.
    /// </summary>
    public static bool IsOwner(ITypeSymbol? type) => type is INamedTypeSymbol
    {
        ContainingNamespace: { Name: "NativeAlloc", ContainingNamespace.IsGlobalNamespace: true },
        Name: "SlabCache" or "NativeArena" or "NativeHeap" or "MirroredBuffer" or "NativeBuffer" or "NativeBufferWriter"
            or "NativeStream",
    };
}
