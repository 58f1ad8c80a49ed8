using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// The files of a folder can be read in some order in which each names only those before it. A file names another if
/// its code has the name of a type that the other declares. Partial files of one type count as one.
/// </summary>
public sealed class FileCircleTests
{
    [Fact]
    public void No_files_of_a_folder_name_each_other_in_a_circle() =>
        Find(SourceTree.LibraryFiles, SourceTree.LibraryCompilation).ShouldBeNone();

    [Theory]
    [InlineData("class A { B b; }", "class B { }", 0)]
    [InlineData("class A { B b; }", "class B { A a; }", 1)]
    [InlineData("class A { B b; }", "class B { object o = nameof(A); }", 1)]
    // a field that has the name of the type
    [InlineData("class A { B b; }", "class B { int A; int M() => this.A + A; }", 0)]
    [InlineData("class A { B b; }", "class B { /* A */ string a = \"A\"; }", 0)]
    [InlineData("partial class A { B b; } class B { }", "partial class A { }", 0)]
    [InlineData("partial class A { B b; }", "class B { static void M() => A.N(); }", 1)]
    public void A_circle_of_two_files_is_found(string first, string second, int circles)
    {
        SourceFile[] files = [Offences.Of(first, "Slabs/A.cs"), Offences.Of(second, "Slabs/B.cs")];
        Assert.Equal(circles, Find(files, SourceTree.Compile(files)).Count);
    }

    [Fact]
    public void A_circle_of_three_files_is_found_and_told()
    {
        SourceFile[] files =
        [
            Offences.Of("class A { B b; }", "Slabs/A.cs"), Offences.Of("class B { C c; }", "Slabs/B.cs"),
            Offences.Of("class C { A a; }", "Slabs/C.cs"), Offences.Of("class D { A a; C c; }", "Slabs/D.cs"),
        ];
        string circle = Assert.Single(Find(files, SourceTree.Compile(files)));
        Assert.Contains("A.cs → B.cs → C.cs → A.cs", circle, StringComparison.Ordinal);
        Assert.DoesNotContain("D.cs", circle, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_of_different_folders_are_no_circle()
    {
        SourceFile[] files =
            [Offences.Of("class A { B b; }", "Slabs/A.cs"), Offences.Of("class B { A a; }", "Pages/B.cs")];
        Assert.Empty(Find(files, SourceTree.Compile(files)));
    }

    /// <summary>Each knot of files that reach each other, with the shortest circle in it.</summary>
    internal static List<string> Find(IReadOnlyList<SourceFile> files, Compilation compilation)
    {
        List<string> found = [];
        foreach (IGrouping<string, SourceFile> folder in files.GroupBy(file => file.Folder))
        {
            Dictionary<string, string> unitOf = Units(folder, compilation);
            Dictionary<string, HashSet<string>> names = [];
            foreach (SourceFile file in folder)
            {
                if (!names.TryGetValue(unitOf[file.Path], out HashSet<string>? named))
                    names.Add(unitOf[file.Path], named = []);
                foreach (INamedTypeSymbol type in TypesNamedIn(file, compilation))
                {
                    foreach (SyntaxReference place in type.DeclaringSyntaxReferences)
                        if (unitOf.TryGetValue(place.SyntaxTree.FilePath, out string? unit)
                            && unit != unitOf[file.Path]) named.Add(unit);
                }
            }
            found.AddRange(Knots(names).Select(knot =>
                $"{folder.Key}: {knot.Count} files: {ShortestCircle(knot, names)}{Others(knot, names)}"));
        }
        return found;

        string Others(List<string> knot, Dictionary<string, HashSet<string>> names)
        {
            string All(string unit) =>
                string.Join(' ', names[unit].Where(knot.Contains).Select(NameOf).Order(StringComparer.Ordinal));
            if (knot.Count < 3) return "";
            return "; all: " + string.Join(", ", knot.Select(unit => $"{NameOf(unit)} ({All(unit)})"));
        }
    }

    /// <summary>The types of the compilation that a file's code names.</summary>
    internal static IEnumerable<INamedTypeSymbol> TypesNamedIn(SourceFile file, Compilation compilation)
    {
        SemanticModel model = compilation.GetSemanticModel(file.Tree);
        return file.Root.DescendantNodes().OfType<SimpleNameSyntax>()
            // asking the model takes longer
            .Where(name => compilation.ContainsSymbolsWithName(name.Identifier.Text, SymbolFilter.Type))
            .Select(name =>
                model.GetSymbolInfo(name) is var info ? info.Symbol ?? info.CandidateSymbols.FirstOrDefault() : null)
            .Select(symbol => symbol is IMethodSymbol { MethodKind: MethodKind.Constructor } constructor
                ? constructor.ContainingType
                : symbol)
            .OfType<INamedTypeSymbol>()
            .Select(type => type.OriginalDefinition)
            .Distinct<INamedTypeSymbol>(SymbolEqualityComparer.Default)
            .Where(type => type.DeclaringSyntaxReferences.Length != 0);
    }

    // Files that declare parts of one type are a unit, which goes by the first of them.
    private static Dictionary<string, string> Units(IEnumerable<SourceFile> folder, Compilation compilation)
    {
        Dictionary<string, string> unitOf = folder.ToDictionary(file => file.Path, file => file.Path);
        foreach (SourceFile file in folder)
        {
            SemanticModel model = compilation.GetSemanticModel(file.Tree);
            foreach (BaseTypeDeclarationSyntax declared in file.Root.DescendantNodes()
                .OfType<BaseTypeDeclarationSyntax>())
            {
                foreach (SyntaxReference place in model.GetDeclaredSymbol(declared)!.DeclaringSyntaxReferences)
                {
                    string own = unitOf[file.Path], other = place.SyntaxTree.FilePath;
                    if (!unitOf.TryGetValue(other, out string? others) || others == own) continue;
                    foreach (string path in unitOf.Keys.Where(path => unitOf[path] == others).ToList())
                        unitOf[path] = own;
                }
            }
        }
        return unitOf;
    }

    private static IEnumerable<List<string>> Knots(Dictionary<string, HashSet<string>> names)
    {
        Dictionary<string, HashSet<string>> reached =
            names.Keys.ToDictionary(unit => unit, unit => ReachedFrom(unit, names));
        HashSet<string> seen = [];
        foreach (string unit in names.Keys.Order(StringComparer.Ordinal))
        {
            List<string> knot = [.. names.Keys.Where(other =>
                reached[unit].Contains(other) && reached[other].Contains(unit)).Order(StringComparer.Ordinal)];
            if (knot.Count != 0 && seen.Add(knot[0])) yield return knot;
        }
    }

    private static HashSet<string> ReachedFrom(string unit, Dictionary<string, HashSet<string>> names)
    {
        HashSet<string> reached = [];
        Queue<string> open = new([unit]);
        while (open.TryDequeue(out string? next))
            foreach (string named in names[next])
                if (reached.Add(named)) open.Enqueue(named);
        return reached;
    }

    private static string ShortestCircle(List<string> knot, Dictionary<string, HashSet<string>> names)
    {
        List<string>? shortest = null;
        foreach (string start in knot)
        {
            Queue<List<string>> ways = new([[start]]);
            HashSet<string> seen = [];
            while (ways.TryDequeue(out List<string>? way))
            {
                if (way.Count > 1 && way[^1] == start)
                {
                    if (shortest == null || way.Count < shortest.Count) shortest = way;
                    break;
                }
                foreach (string next in names[way[^1]].Where(next => knot.Contains(next)).Order(StringComparer.Ordinal))
                    if (seen.Add(next)) ways.Enqueue([.. way, next]);
            }
        }
        return string.Join(" → ", shortest!.Select(NameOf));
    }

    // Files of one type begin with its name.
    private static string NameOf(string path) => Path.GetFileName(path).Split('.')[0] + ".cs";
}
