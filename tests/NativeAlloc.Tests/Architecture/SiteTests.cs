using System.Text.RegularExpressions;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Proves that the site's tables of contents have every page and every public type and nothing else, and that links
/// between pages lead to a heading or file that is there.
/// </summary>
public sealed partial class SiteTests
{
    private const string FrontPage = "docs/site/index.md";

    // What is listed beside the types of the library: namespaces, and the class of the package for ASP.NET Core.
    private static readonly string[] s_otherNames =
    [
        "NativeAlloc", "Microsoft.Extensions.DependencyInjection",
        "Microsoft.Extensions.DependencyInjection.NativeAllocServiceCollectionExtensions",
    ];

    private static readonly string[] s_tables =
        ["docs/site/toc.yml", "docs/guide/toc.yml", "docs/toc.yml", "docs/design/toc.yml", "docs/api/toc.yml"];

    private static readonly string[] s_readmes =
        ["src/NativeAlloc.AspNetCore/README.md", "src/NativeAlloc.Tool/README.md"];

    private static IEnumerable<string> Pages =>
        SourceTree.ProseFiles.Select(file => file.Path).Where(path => path != FrontPage).Concat(s_readmes);

    [Fact]
    public void Every_page_is_in_a_table_of_contents_and_every_entry_is_a_page() =>
        Assert.Equal(Pages.Order(StringComparer.Ordinal),
            s_tables.SelectMany(table => Entries(table, "href").Select(entry => Resolve(table, entry)))
                .Distinct().Order(StringComparer.Ordinal));

    [Fact]
    public void The_reference_has_every_public_type() =>
        Assert.Equal(
            typeof(NativeAllocator).Assembly.GetExportedTypes().Select(type => type.FullName!.Replace('+', '.'))
                .Concat(s_otherNames).Order(StringComparer.Ordinal),
            Entries("docs/api/toc.yml", "uid").Order(StringComparer.Ordinal));

    [Fact]
    public void The_overview_of_the_reference_names_every_type_that_stands_by_itself()
    {
        string page = Read("docs/api/index.md");
        Assert.All(typeof(NativeAllocator).Assembly.GetExportedTypes().Where(type => !type.IsNested),
            type => Assert.Contains($"<xref:{type.FullName}>", page, StringComparison.Ordinal));
    }

    [Fact]
    public void Links_lead_somewhere()
    {
        Dictionary<string, string> pages = SourceTree.ProseFiles.ToDictionary(file => file.Path, file => file.Text);
        Assert.Empty(pages.SelectMany(page => BrokenLinks(page.Key, page.Value,
            path => pages.GetValueOrDefault(path) ?? (File.Exists(RepositoryTree.PathOf(path)) ? "" : null))));
    }

    [Theory]
    [InlineData("[a](b.md)", 0)]
    [InlineData("[a](b.md#what-it-costs-in-c)", 0)]
    [InlineData("[a](#here) and\n## Here", 0)]
    [InlineData("[a](https://example.org/#x)", 0)]
    [InlineData("[a](c.md)", 1)]
    [InlineData("[a](b.md#what-it-costs)", 1)]
    [InlineData("[a](#there)\n## Here", 1)]
    [InlineData("<a href=\"c.md\">a</a>", 1)]
    public void A_broken_link_is_found(string text, int broken) => Assert.Equal(broken,
        BrokenLinks("docs/a.md", text, path => path == "docs/b.md" ? "## What it costs, in `C#`\n" : null).Count());

    private static IEnumerable<string> BrokenLinks(string path, string text, Func<string, string?> read)
    {
        foreach (Match link in Link().Matches(text))
        {
            string[] target = link.Groups["target"].Value.Split('#');
            if (target[0].Contains(':', StringComparison.Ordinal)) continue;
            string? page = target[0].Length == 0 ? text : read(Resolve(path, target[0]));
            if (page == null || (target.Length > 1 && !Anchors(page).Contains(target[1])))
                yield return $"{path}: {link.Groups["target"].Value}";
        }
    }

    // As GitHub and docfx make them of headings.
    private static IEnumerable<string> Anchors(string page) => Heading().Matches(page).Select(heading =>
        string.Concat(heading.Groups["text"].Value.ToLowerInvariant().Trim()
            .Where(c => char.IsLetterOrDigit(c) || c is ' ' or '-' or '_')).Replace(' ', '-'));

    private static IEnumerable<string> Entries(string table, string key) =>
        Entry().Matches(Read(table)).Where(entry => entry.Groups["key"].Value == key)
            .Select(entry => entry.Groups["value"].Value);

    private static string Resolve(string from, string target) => Path
        .GetRelativePath(RepositoryTree.Root, RepositoryTree.PathOf(Path.GetDirectoryName(from)!, target))
        .Replace('\\', '/');

    private static string Read(string path) => File.ReadAllText(RepositoryTree.PathOf(path));

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)|href=""(?<target>[^""]+)""")]
    private static partial Regex Link();

    [GeneratedRegex("^#+ (?<text>.+)$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^\s*-? *(?<key>href|uid): *(?<value>\S+)", RegexOptions.Multiline)]
    private static partial Regex Entry();
}
