using System.Text.RegularExpressions;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Shows, from the source files themselves, that each layer knows only those below it, and that no file is unfinished.
/// </summary>
public sealed partial class SourceTests
{
    /// <summary>The layers from the bottom up. Those of one line do not know each other.</summary>
    private static readonly string[][] s_layers =
    [
        ["Common"],
        ["Os"],
        ["Checking", "Threads"],
        ["Pages"],
        ["Slabs"],
        ["Mapping"],
        ["High"],
        ["Profiling"],
        ["Release"],
        ["Shapes", "Interop", "Diagnostics", Root],
    ];

    /// <summary>What stands in the project's own folder: the face of the library, above every layer.</summary>
    private const string Root = "";

    public static TheoryData<string> Files => [.. SourceTree.LibraryFiles.Select(file => file.Path)];

    public static TheoryData<string> FilesWithLayersAbove =>
        [.. SourceTree.LibraryFiles.Where(file => !IsFace(file.Layer)).Select(file => file.Path)];

    [Fact]
    public void Every_folder_is_a_layer()
    {
        string[] folders = [.. SourceTree.LibraryFiles.Select(file => file.Layer).Distinct()];
        Assert.Empty(folders.Except(s_layers.SelectMany(layer => layer)));
        Assert.Superset(
            new HashSet<string>
            {
                "Common", "Os", "Threads", "Pages", "Slabs", "Mapping", "High", "Profiling", "Release", Root,
            },
            folders.ToHashSet());
    }

    [Theory]
    [MemberData(nameof(FilesWithLayersAbove))]
    public void A_file_names_no_layer_above_or_beside_its_own(string path)
    {
        SourceFile file = Find(path);
        int layer = LayerOf(file.Layer);
        foreach (string line in CodeLines(file))
        {
            foreach (Match match in NamespaceName().Matches(line))
            {
                string named = match.Groups["folder"].Value;
                int namedLayer = LayerOf(named);
                if (namedLayer < 0 || named == file.Layer) continue;
                Assert.True(namedLayer < layer, $"{path} is of layer {file.Layer} and names {named}: {line.Trim()}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_files_namespace_is_its_layer(string path)
    {
        SourceFile file = Find(path);
        string own = file.Layer == Root ? "namespace NativeAlloc;" : $"namespace NativeAlloc.{file.Layer};";
        string declared =
            Assert.Single(CodeLines(file), line => line.StartsWith("namespace ", StringComparison.Ordinal));
        // users need one using only
        if (IsFace(file.Layer)) Assert.Contains(declared, (string[])["namespace NativeAlloc;", own]);
        else Assert.Equal(own, declared);
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void A_file_leaves_nothing_to_be_done(string path) =>
        Assert.DoesNotContain("TODO", Find(path).Text, StringComparison.OrdinalIgnoreCase);

    // A wait for a managed lock or event can be interrupted, and leaves an operation half done. The decay, the events
    // and their making have threads of their own, which no user can interrupt. A wait for a persistent window may be,
    // and then nothing has changed.
    [Theory]
    [MemberData(nameof(Files))]
    public void No_operation_waits_where_it_can_be_interrupted(string file)
    {
        string[] exempt =
        [
            "DecayThread.cs", "AllocatorTelemetry.cs", "PersistentWindows.cs", "AllocatorEventSource.Pump.cs",
            "StackNames.cs",
        ];
        if (exempt.Contains(Path.GetFileName(file))) return;
        Assert.DoesNotContain(CodeLines(Find(file)), line => InterruptibleWait().IsMatch(line));
    }

    [Theory]
    [InlineData("using NativeAlloc.Slabs;", "Slabs")]
    [InlineData("using static NativeAlloc.Os.Machine;", "Os")]
    [InlineData("        nuint a = Os.VirtualMemory.PageBytes;", "Os")]
    [InlineData("        nuint a = NativeAlloc.Pages.LinearRegion.Bytes;", "Pages")]
    public void A_name_is_recognised_in_any_form(string line, string folder) =>
        Assert.Contains(NamespaceName().Matches(line), match => match.Groups["folder"].Value == folder);

    /// <summary>Whether a folder is the face of the library, above every layer.</summary>
    internal static bool IsFace(string folder) => LayerOf(folder) == s_layers.Length - 1;

    private static int LayerOf(string folder) => Array.FindIndex(s_layers, layer => layer.Contains(folder));

    private static SourceFile Find(string path) => SourceTree.LibraryFiles.Single(file => file.Path == path);

    private static IEnumerable<string> CodeLines(SourceFile file) =>
        file.Lines.Select(line => LineComment().Replace(line, "")).Where(line => !string.IsNullOrWhiteSpace(line));

    // A using, with the library's name before it or not, and any name that begins with a folder's.
    [GeneratedRegex(
        @"(?:\bNativeAlloc\.|(?<![.\w]))" +
        "(?<folder>Common|Os|Threads|Pages|Slabs|Mapping|High|Profiling|Release|Shapes|Interop|Diagnostics)" +
        @"(?:\.(?=[A-Z])|;)")]
    private static partial Regex NamespaceName();

    [GeneratedRegex(@"\block \(|\bLock \w+ =|\bMonitor\.|\.Wait(One|Any|All)?\(|\bThread\.Sleep\(|\.Join\(\)")]
    private static partial Regex InterruptibleWait();

    [GeneratedRegex("//.*$")]
    private static partial Regex LineComment();
}
