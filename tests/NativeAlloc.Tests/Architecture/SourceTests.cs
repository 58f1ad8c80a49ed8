using System.Text.RegularExpressions;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Shows, from the source files themselves, that each layer knows only those below it, and that no file is too long to be read or unfinished.
/// </summary>
public sealed partial class SourceTests
{
    /// <summary>The layers from the bottom up. Those of one line do not know each other.</summary>
    private static readonly string[][] s_layers =
    [
        ["Common"],
        ["Os"],
        ["Threads"],
        ["Pages"],
        ["Slabs"],
        ["Mapping"],
        ["High"],
        ["Release"],
        ["Buffers", "Interop", "Diagnostics", Root],
    ];

    /// <summary>What stands in the project's own folder: the face of the library, above every layer.</summary>
    private const string Root = "";

    private const int LongestFile = 600;

    public static TheoryData<string> Files => [.. SourceFiles().Select(file => Path.GetRelativePath(SourceFolder, file))];

    public static TheoryData<string> FilesWithLayersAbove => [.. SourceFiles().Where(file => !IsFace(FolderOf(file))).Select(file => Path.GetRelativePath(SourceFolder, file))];

    private static string SourceFolder { get; } = Path.Combine(RepositoryFolder(), "src", "NativeAlloc");

    [Fact]
    public void Every_folder_is_a_layer()
    {
        IEnumerable<string> folders = SourceFiles().Select(FolderOf).Distinct();
        Assert.Empty(folders.Except(s_layers.SelectMany(layer => layer)));
        Assert.Superset(
            new HashSet<string> { "Common", "Os", "Threads", "Pages", "Slabs", "Mapping", "High", "Release", Root },
            SourceFiles().Select(FolderOf).ToHashSet());
    }

    [Theory]
    [MemberData(nameof(FilesWithLayersAbove))]
    public void A_file_names_no_layer_above_or_beside_its_own(string file)
    {
        string folder = FolderOf(Path.Combine(SourceFolder, file));
        int layer = LayerOf(folder);
        foreach (string line in CodeLines(file))
        {
            foreach (Match match in NamespaceName().Matches(line))
            {
                string named = match.Groups["folder"].Value;
                int namedLayer = LayerOf(named);
                if (namedLayer < 0 || named == folder) continue;
                Assert.True(namedLayer < layer, $"{file} is of layer {folder} and names {named}: {line.Trim()}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_files_namespace_is_its_layer(string file)
    {
        string folder = FolderOf(Path.Combine(SourceFolder, file));
        string own = folder == Root ? "namespace NativeAlloc;" : $"namespace NativeAlloc.{folder};";
        string declared = Assert.Single(CodeLines(file), line => line.StartsWith("namespace ", StringComparison.Ordinal));
        if (IsFace(folder)) Assert.Contains(declared, (string[])["namespace NativeAlloc;", own]); // users need one using only
        else Assert.Equal(own, declared);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_file_is_short_enough_to_be_read(string file) =>
        Assert.InRange(File.ReadLines(Path.Combine(SourceFolder, file)).Count(), 1, LongestFile);

    [Theory]
    [MemberData(nameof(Files))]
    public void A_file_leaves_nothing_to_be_done(string file) =>
        Assert.DoesNotContain("TODO", File.ReadAllText(Path.Combine(SourceFolder, file)), StringComparison.OrdinalIgnoreCase);

    // What waits on a managed lock or event can be interrupted, and leaves an operation half done. The decay has a thread of its own,
    // which nobody can interrupt; waiting for a persistent window may be, and then nothing has changed.
    [Theory]
    [MemberData(nameof(Files))]
    public void No_operation_waits_where_it_can_be_interrupted(string file)
    {
        if (Path.GetFileName(file) is "DecayThread.cs" or "PersistentWindows.cs") return;
        Assert.DoesNotContain(CodeLines(file), line => InterruptibleWait().IsMatch(line));
    }

    [Theory]
    [InlineData("using NativeAlloc.Slabs;", "Slabs")]
    [InlineData("using static NativeAlloc.Os.Machine;", "Os")]
    [InlineData("        nuint a = Os.VirtualMemory.PageBytes;", "Os")]
    [InlineData("        nuint a = NativeAlloc.Pages.LinearRegion.Bytes;", "Pages")]
    public void A_name_is_recognised_in_any_form(string line, string folder) =>
        Assert.Contains(NamespaceName().Matches(line), match => match.Groups["folder"].Value == folder);

    private static bool IsFace(string folder) => LayerOf(folder) == s_layers.Length - 1;

    private static int LayerOf(string folder) => Array.FindIndex(s_layers, layer => layer.Contains(folder));

    private static string FolderOf(string file)
    {
        string relative = Path.GetRelativePath(SourceFolder, file);
        return relative.Contains(Path.DirectorySeparatorChar, StringComparison.Ordinal) ? relative[..relative.IndexOf(Path.DirectorySeparatorChar, StringComparison.Ordinal)] : Root;
    }

    private static IEnumerable<string> CodeLines(string file) =>
        File.ReadLines(Path.Combine(SourceFolder, file)).Select(line => LineComment().Replace(line, "")).Where(line => !string.IsNullOrWhiteSpace(line));

    private static IEnumerable<string> SourceFiles() => Directory.EnumerateFiles(SourceFolder, "*.cs", SearchOption.AllDirectories)
        .Where(file => FolderOf(file) is not ("bin" or "obj"))
        .Order(StringComparer.Ordinal);

    private static string RepositoryFolder()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder != null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "NativeAlloc.sln"))) return folder.FullName;
        throw new InvalidOperationException("the tests do not run inside the repository");
    }

    // A using, with the library's name before it or not, and any name that begins with a folder's.
    [GeneratedRegex(@"(?:\bNativeAlloc\.|(?<![.\w]))(?<folder>Common|Os|Threads|Pages|Slabs|Mapping|High|Release|Buffers|Interop|Diagnostics)(?:\.(?=[A-Z])|;)")]
    private static partial Regex NamespaceName();

    [GeneratedRegex(@"\block \(|\bLock \w+ =|\bMonitor\.|\.Wait(One|Any|All)?\(|\bThread\.Sleep\(|\.Join\(\)")]
    private static partial Regex InterruptibleWait();

    [GeneratedRegex("//.*$")]
    private static partial Regex LineComment();
}
