using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using NativeAlloc.Analyzers;
using Xunit;

namespace NativeAlloc.AnalyzerTests;

/// <summary>
/// Compiles code with the analyzers. What they are to find is marked in the code: <c>{|NA0003:Alloc(1)|}</c>.
/// </summary>
internal static class Code
{
    private const string Head =
        "using System; using System.Runtime.InteropServices; using NativeAlloc; unsafe class C { ";

    internal static readonly MetadataReference[] References =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(file => Path.GetFileName(file) is "System.Private.CoreLib.dll" or "System.Runtime.dll"
                or "System.Runtime.InteropServices.dll" or "System.Memory.dll" or "NativeAlloc.dll"
                or "System.Console.dll")
            .Select(file => MetadataReference.CreateFromFile(file)),
    ];

    private static readonly ImmutableArray<DiagnosticAnalyzer> s_analyzers =
        [new MoveAnalyzer(), new OwnerAnalyzer(), new BlockFlowAnalyzer()];

    /// <summary>Checks the body of a method, or members of a class, against the marks in it.</summary>
    internal static void Check(string members, bool isBody = true)
    {
        string marked = Head + (isBody ? $"void M(int n, bool b) {{ {members} }}" : members) + " }";
        List<(string Id, int Start, int End)> expected = [];
        string text = Strip(marked, expected);
        CSharpCompilation compilation = Compile(text);
        string[] errors = [.. compilation.GetDiagnostics(TestContext.Current.CancellationToken)
            .Where(found => found.Severity == DiagnosticSeverity.Error).Select(found => found.ToString())];
        Assert.True(errors.Length == 0, string.Join('\n', errors));
        ImmutableArray<Diagnostic> found = compilation.WithAnalyzers(s_analyzers)
            .GetAnalyzerDiagnosticsAsync(TestContext.Current.CancellationToken).GetAwaiter().GetResult();
        (string Id, int Start, int End)[] actual = [.. found.Where(one => one.Id is not "NA0001" || members.Contains(
                "{|NA0001", StringComparison.Ordinal))
            .Select(one => (one.Id, one.Location.SourceSpan.Start, one.Location.SourceSpan.End)).Order()];
        Assert.True(expected.Order().SequenceEqual(actual),
            $"{text}\nexpected {Tell(expected, text)}\nfound    {Tell(actual, text)}\n{string.Join('\n', found)}");
    }

    internal static CSharpCompilation Compile(string text) => CSharpCompilation.Create("code",
        [CSharpSyntaxTree.ParseText(text)], References,
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));

    private static string Tell(IEnumerable<(string Id, int Start, int End)> found, string text) =>
        string.Join(", ", found.Select(one => $"{one.Id} at '{text[one.Start..one.End]}'"));

    private static string Strip(string marked, List<(string Id, int Start, int End)> expected)
    {
        while (true)
        {
            int start = marked.IndexOf("{|NA", StringComparison.Ordinal);
            if (start < 0) return marked;
            int colon = marked.IndexOf(':', start), end = marked.IndexOf("|}", start, StringComparison.Ordinal);
            string id = marked[(start + 2)..colon], inside = marked[(colon + 1)..end];
            expected.Add((id, start, start + inside.Length));
            marked = marked[..start] + inside + marked[(end + 2)..];
        }
    }
}
