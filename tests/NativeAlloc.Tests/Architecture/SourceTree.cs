using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// The files of the repository that the rules are about, and what the names in the library's files stand for.
/// </summary>
internal static class SourceTree
{
    internal const string Library = "src/NativeAlloc";

    private static readonly Lazy<IReadOnlyList<SourceFile>> s_library = new(() => Read(Library, "*.cs"));
    private static readonly Lazy<IReadOnlyList<SourceFile>> s_code =
        new(() => [.. Read("src", "*.cs"), .. Read("tests", "*.cs"), .. Read("benchmarks", "*.cs")]);
    private static readonly Lazy<IReadOnlyList<SourceFile>> s_prose =
        new(() => [.. Read("docs", "*.md"), .. Read("", "*.md", SearchOption.TopDirectoryOnly)]);
    private static readonly SyntaxTree s_usings = new SourceFile(
        "usings",
        "global using System; global using System.Collections.Generic; global using System.IO; global using " +
        "System.Linq; global using System.Threading;").Tree;

    private static readonly string[] s_assemblies =
        ["System.Private.CoreLib", "System.Runtime", "System.Collections", "System.Linq"];
    private static readonly Lazy<MetadataReference[]> s_references = new(References);
    private static readonly Lazy<Compilation> s_compilation = new(() => Compile(LibraryFiles));

    /// <summary>The files of the library.</summary>
    internal static IReadOnlyList<SourceFile> LibraryFiles => s_library.Value;

    /// <summary>All C# files: those of the library and its satellites, the tests and the benchmarks.</summary>
    internal static IReadOnlyList<SourceFile> CodeFiles => s_code.Value;

    /// <summary>The Markdown files.</summary>
    internal static IReadOnlyList<SourceFile> ProseFiles => s_prose.Value;

    /// <summary>The library's files, compiled together.</summary>
    internal static Compilation LibraryCompilation => s_compilation.Value;

    internal static string RepositoryFolder { get; } = FindRepository();

    /// <summary>
    /// Compiles files, so that a name can be asked what it stands for. What a source generator would add is missing;
    /// that leaves errors, which do not matter here.
    /// </summary>
    internal static Compilation Compile(IReadOnlyList<SourceFile> files) => CSharpCompilation.Create(
        "rules",
        [s_usings, .. files.Select(file => file.Tree)],
        s_references.Value,
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));

    private static MetadataReference[] References()
    {
        string assemblies = (string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!;
        return
        [
            .. assemblies.Split(Path.PathSeparator)
                .Where(file => s_assemblies.Contains(Path.GetFileNameWithoutExtension(file)))
                .Select(file => MetadataReference.CreateFromFile(file)),
        ];
    }

    private static List<SourceFile> Read(string folder, string pattern,
        SearchOption depth = SearchOption.AllDirectories) =>
    [
        .. Directory.EnumerateFiles(Path.Combine(RepositoryFolder, folder), pattern, depth)
            .Select(file => (File: file, Path: Path.GetRelativePath(RepositoryFolder, file).Replace('\\', '/')))
            .Where(file => !file.Path.Split('/').Any(part => part is "bin" or "obj"))
            .OrderBy(file => file.Path, StringComparer.Ordinal)
            .Select(file => new SourceFile(file.Path, File.ReadAllText(file.File))),
    ];

    private static string FindRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "NativeAlloc.sln"))) return folder.FullName;
        throw new InvalidOperationException("the tests do not run inside the repository");
    }
}
