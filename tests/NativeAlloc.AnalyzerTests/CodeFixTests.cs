using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using NativeAlloc.Analyzers;
using Xunit;

namespace NativeAlloc.AnalyzerTests;

/// <summary>Proves that the fix moves all calls of a document together, and that the result compiles.</summary>
public sealed class CodeFixTests
{
    private const string Before = """
        using System;
        using System.Runtime.InteropServices;

        unsafe class C
        {
            void M()
            {
                IntPtr p = Marshal.AllocHGlobal(10); // kept
                Marshal.WriteInt32(p, 5);
                p = Marshal.ReAllocHGlobal(p, 20);
                Marshal.FreeHGlobal(p);
                void* q = System.Runtime.InteropServices.NativeMemory.AlignedAlloc(10, 64);
                NativeMemory.AlignedFree(q);
            }
        }
        """;

    private const string After = """
        using System;
        using System.Runtime.InteropServices;
        using NativeAlloc;

        unsafe class C
        {
            void M()
            {
                IntPtr p = HGlobal.AllocHGlobal(10); // kept
                Marshal.WriteInt32(p, 5);
                p = HGlobal.ReAllocHGlobal(p, 20);
                HGlobal.FreeHGlobal(p);
                void* q = NativeAllocator.AlignedAlloc(10, 64);
                NativeAllocator.AlignedFree(q);
            }
        }
        """;

    [Fact]
    public async Task All_calls_of_a_document_move_together()
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        using AdhocWorkspace workspace = new();
        Document document = workspace.AddProject("code", LanguageNames.CSharp)
            .WithMetadataReferences(Code.References)
            .WithCompilationOptions(new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary,
                allowUnsafe: true))
            .AddDocument("C.cs", Before);
        Compilation compilation = (await document.Project.GetCompilationAsync(cancellation))!;
        ImmutableArray<Diagnostic> found = await compilation.WithAnalyzers([new MoveAnalyzer()])
            .GetAnalyzerDiagnosticsAsync(cancellation);
        Assert.Equal(5, found.Length);
        CodeAction? action = null;
        await new MoveCodeFix().RegisterCodeFixesAsync(new CodeFixContext(document, found[0],
            (offered, _) => action = offered, cancellation));
        ImmutableArray<CodeActionOperation> operations = await action!.GetOperationsAsync(cancellation);
        Document changed = operations.OfType<ApplyChangesOperation>().Single().ChangedSolution
            .GetDocument(document.Id)!;
        Assert.Equal(After.ReplaceLineEndings("\n"), (await changed.GetTextAsync(cancellation)).ToString()
            .ReplaceLineEndings("\n"));
        Assert.DoesNotContain((await changed.Project.GetCompilationAsync(cancellation))!
            .GetDiagnostics(cancellation), error => error.Severity == DiagnosticSeverity.Error);
        Assert.NotNull(new MoveCodeFix().GetFixAllProvider());
    }
}
