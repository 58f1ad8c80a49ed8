using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests.Packaging;

/// <summary>Proves that the code in the guide compiles and runs, and leaves nothing behind.</summary>
public sealed partial class GuideTests : LeakCheckedTests
{
    private const string Usings = "global using System; global using System.Collections.Generic; " +
        "global using System.Threading;";

    /// <summary>The blocks of C# in the guide: the file, and which of its blocks.</summary>
    public static TheoryData<string, int> Blocks
    {
        get
        {
            TheoryData<string, int> blocks = [];
            foreach (string file in Directory.GetFiles(RepositoryTree.PathOf("docs", "guide"), "*.md").Order())
                for (int i = 0; i < Block().Count(File.ReadAllText(file)); i++) blocks.Add(Path.GetFileName(file), i);
            return blocks;
        }
    }

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_block_of_code_runs(string file, int index)
    {
        string code = Block().Matches(File.ReadAllText(RepositoryTree.PathOf("docs", "guide", file)))[index]
            .Groups["code"].Value;
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        string[] assemblies = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        CSharpCompilation compilation = CSharpCompilation.Create("guide",
            [CSharpSyntaxTree.ParseText(code, cancellationToken: cancellation),
                CSharpSyntaxTree.ParseText(Usings, cancellationToken: cancellation)],
            [.. assemblies.Where(IsNeeded).Select(path => MetadataReference.CreateFromFile(path))],
            new CSharpCompilationOptions(OutputKind.ConsoleApplication, allowUnsafe: true));
        using MemoryStream image = new();
        EmitResult result = compilation.Emit(image, cancellationToken: cancellation);
        Assert.True(result.Success, $"{code}\n{string.Join('\n', result.Diagnostics)}");
        TextWriter console = Console.Out;
        try
        {
            Console.SetOut(TextWriter.Null);
            MethodInfo main = Assembly.Load(image.ToArray()).EntryPoint!;
            main.Invoke(null, main.GetParameters().Length == 0 ? null : [Array.Empty<string>()]);
        }
        finally
        {
            Console.SetOut(console);
        }
    }

    [Fact]
    public void The_sample_before_and_after_differs_by_the_classes_that_are_called()
    {
        string before = File.ReadAllText(RepositoryTree.PathOf("samples", "Migration", "Before", "Program.cs")),
            after = File.ReadAllText(RepositoryTree.PathOf("samples", "Migration", "After", "Program.cs"));
        string moved = before.Replace("System.Runtime.InteropServices", "NativeAlloc", StringComparison.Ordinal)
            .Replace("NativeMemory.", "NativeAllocator.", StringComparison.Ordinal)
            .Replace("Marshal.", "HGlobal.", StringComparison.Ordinal)
            .Replace("MemoryPool<", "NativeMemoryPool<", StringComparison.Ordinal);
        Assert.NotEqual(before, after);
        Assert.Equal(moved, after);
    }

    private static bool IsNeeded(string file) => Path.GetFileNameWithoutExtension(file)
        is "System.Private.CoreLib" or "System.Runtime" or "System.Console" or "System.Memory" or "System.Collections"
        or "System.Threading" or "NativeAlloc";

    [GeneratedRegex("```csharp\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();
}
