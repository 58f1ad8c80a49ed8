using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// The library's comments and documents can be read once: no riddles. One verb stands for one thing, in the names of
/// methods and in comments: the glossary has the table.
/// </summary>
public sealed partial class WordTests
{
    /// <summary>Verbs that do not go with a noun, and what is said instead.</summary>
    private static readonly (string[] Verbs, string[] Nouns, string Instead)[] s_verbs =
    [
        (["Get", "Acquire", "Grab", "Fetch", "Obtain", "Borrow"], ["Page", "Pages"], "take"),
        (["Return", "Release", "Restore"], ["Page", "Pages"], "give"),
        (["Take", "Get", "Fetch", "Grab", "Remove", "Dequeue"], ["Magazine", "Magazines"], "pop"),
        (["Put", "Give", "Add", "Return", "Insert", "Enqueue"], ["Magazine", "Magazines"], "push"),
        (["Fetch", "Grab", "Reload"], ["Object", "Objects"], "refill"),
        (["Put", "Return", "Flush", "Spill", "Unload"], ["Object", "Objects"], "drain"),
        (["Discard", "Decommit", "Drop"], ["Pages", "Slab", "Slabs", "Holes"], "purge"),
        (["Reserve", "Consume", "Spend"], ["Budget"], "charge"),
        (["Discharge", "Refund", "Unreserve"], ["Budget", "Bytes", "Pages"], "uncharge"),
        (["Take", "Swap", "Exchange", "Fetch", "Clear", "Consume"],
            ["Hits", "Unneeded", "Peak", "Count", "Counts", "LowWater"], "ReadAndReset"),
    ];

    // In a sentence these have other senses: a method returns a number, a slot gets a page.
    private static readonly string[] s_ambiguous = ["Get", "Return"];

    [Fact]
    public void Comments_have_no_riddles() => FindRiddles(SourceTree.LibraryFiles).ShouldBeNone();

    [Fact]
    public void Documents_have_no_riddles() => FindRiddlesInProse(SourceTree.ProseFiles).ShouldBeNone();

    [Fact]
    public void Methods_have_the_glossarys_verbs() => FindVerbs(SourceTree.LibraryFiles).ShouldBeNone();

    [Fact]
    public void Comments_have_the_glossarys_verbs() => FindVerbsInComments(SourceTree.LibraryFiles).ShouldBeNone();

    [Theory]
    [InlineData("// a page that is nobody's", 1)]
    [InlineData("/// <summary>Whoever takes it.</summary>", 1)]
    [InlineData("/* nobody\u2019s page */", 1)]
    [InlineData("// nobody takes it", 0)]
    [InlineData("", 0)]
    public void A_riddle_is_found(string comment, int offences)
    {
        Assert.Equal(offences, FindRiddles([Offences.Of($"{comment}\nclass A {{ string a = \"whoever\"; }}")]).Count);
        if (comment.Length != 0) Assert.Equal(offences, FindRiddlesInProse([new SourceFile("a.md", comment)]).Count);
    }

    [Theory]
    [InlineData("void GrabPages()", 1)]
    [InlineData("void PutMagazine()", 1)]
    [InlineData("int TakeUnneededObjects()", 1)]
    [InlineData("void TakePages()", 0)]
    [InlineData("void PushMagazine()", 0)]
    [InlineData("int GetPageable()", 0)]
    [InlineData("bool TryGrabPages()", 1)] // Try is no verb of its own
    public void A_method_with_another_verb_is_found(string method, int offences) =>
        Assert.Equal(offences, FindVerbs([Offences.Of($"abstract class A {{ internal abstract {method}; }}")]).Count);

    [Theory]
    [InlineData("// it grabs pages", 1)]
    [InlineData("// fetches a magazine", 1)]
    [InlineData("// it takes the pages of a slab", 0)]
    [InlineData("// it returns the number of pages", 0)]
    public void A_comment_with_another_verb_is_found(string comment, int offences) =>
        Assert.Equal(offences, FindVerbsInComments([Offences.Of(comment)]).Count);

    internal static List<string> FindRiddles(IReadOnlyList<SourceFile> files) =>
        [.. files.SelectMany(file =>
            file.Comments().SelectMany(comment => Told(file, comment.Line, comment.Text, Riddle())))];

    internal static List<string> FindRiddlesInProse(IReadOnlyList<SourceFile> files) =>
        [.. files.SelectMany(file =>
            file.Lines.Index().SelectMany(line => Told(file, line.Index + 1, line.Item, Riddle())))];

    internal static List<string> FindVerbs(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach (SourceFile file in files.Where(file => !SourceTests.IsFace(file.Layer)))
        {
            foreach (MethodDeclarationSyntax method in file.Root.DescendantNodes().OfType<MethodDeclarationSyntax>())
            {
                List<string> words = [.. Word().Matches(method.Identifier.Text).Select(word => word.Value)];
                if (words is ["Try", ..]) words.RemoveAt(0);
                foreach ((string[] verbs, string[] nouns, string instead) in s_verbs)
                    if (words.Count > 1 && verbs.Contains(words[0]) && words.Skip(1).Any(nouns.Contains))
                        found.Add(file.At(method.Identifier, $"{method.Identifier.Text}: say {instead}"));
            }
        }
        return found;
    }

    internal static List<string> FindVerbsInComments(IReadOnlyList<SourceFile> files)
    {
        List<string> found = [];
        foreach ((string[] verbs, string[] nouns, string instead) in s_verbs)
        {
            string verb = string.Join('|', verbs.Except(s_ambiguous)), noun = string.Join('|', nouns);
            Regex pattern = new(
                $@"\b(?:{verb})(?:e?s)? (?:(?:the|a|an|its|some|all|these|those|full|empty|free) )*(?:{noun})\b",
                RegexOptions.IgnoreCase);
            foreach (SourceFile file in files.Where(file => !SourceTests.IsFace(file.Layer)))
                foreach ((int line, string text) in file.Comments())
                    found.AddRange(Told(file, line, text, pattern).Select(offence => $"{offence}: say {instead}"));
        }
        return found;
    }

    private static IEnumerable<string> Told(SourceFile file, int firstLine, string text, Regex pattern) =>
        pattern.Matches(text)
            .Select(match => $"{file.Path}({firstLine + text[..match.Index].Count(c => c == '\n')}): {match.Value}");

    [GeneratedRegex(@"\bnobody['’]s\b|\bwhoever\b", RegexOptions.IgnoreCase)]
    private static partial Regex Riddle();

    [GeneratedRegex("[A-Z][a-z0-9]*")]
    private static partial Regex Word();
}
