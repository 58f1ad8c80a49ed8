using Microsoft.CodeAnalysis;

namespace NativeAlloc.Analyzers;

/// <summary>Every rule, declared once. docs/analyzers.md says the same for users.</summary>
public static class Rules
{
    private const string Category = "NativeAlloc",
        Page = "https://github.com/NativeAlloc/NativeAlloc/blob/main/docs/analyzers.md#";

    /// <summary>A call of the framework that could move.</summary>
    public static readonly DiagnosticDescriptor CanMove = Make("NA0001", DiagnosticSeverity.Info,
        "A call that can move to NativeAlloc",
        "'{0}' can be '{1}', which is faster and gives memory back; move the calls that free it together with it");

    /// <summary>A block freed by the twin of another family.</summary>
    public static readonly DiagnosticDescriptor OtherFamily = Make("NA0002", DiagnosticSeverity.Warning,
        "Memory of one family is freed by another",
        "'{0}' was allocated by '{1}' and is freed by '{2}', which does not know it");

    /// <summary>A block that is not freed on some path.</summary>
    public static readonly DiagnosticDescriptor Leak = Make("NA0003", DiagnosticSeverity.Warning,
        "A block leaks on some path of a method",
        "'{0}', allocated by '{1}', is not freed on every way out of the method");

    /// <summary>A block or shape used after its end.</summary>
    public static readonly DiagnosticDescriptor UseAfterEnd = Make("NA0004", DiagnosticSeverity.Warning,
        "Memory is used after it was freed",
        "'{0}' is used here, after it was freed or disposed of");

    /// <summary>An owner that is never disposed of.</summary>
    public static readonly DiagnosticDescriptor NotDisposed = Make("NA0005", DiagnosticSeverity.Warning,
        "An owner of native memory is never disposed of",
        "'{0}' is a {1}, which keeps its memory until Dispose; no finalizer frees it");

    /// <summary>A twin for aligned memory that is not needed.</summary>
    public static readonly DiagnosticDescriptor AlignedTwin = Make("NA0006", DiagnosticSeverity.Info,
        "The aligned twin is not needed",
        "NativeAllocator.Free takes aligned blocks, too; AlignedFree does the same");

    private static DiagnosticDescriptor Make(string id, DiagnosticSeverity severity, string title, string message) =>
        new(id, title, message, Category, severity, isEnabledByDefault: true,
            helpLinkUri: Page + id.ToLowerInvariant());
}
