using System.Buffers;
using System.Reflection;
using System.Runtime.InteropServices;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Architecture;

/// <summary>
/// Proves that the page about moving a program says of every member of the framework that allocates or frees what
/// stands for it.
/// </summary>
public sealed class MigrationTableTests
{
    private static readonly string[] s_memoryWords = ["HGlobal", "GlobalAlloc", "CoTaskMem", "BSTR"];

    [Fact]
    public void Every_member_has_a_row()
    {
        string page = File.ReadAllText(RepositoryTree.PathOf("docs", "guide", "migrating.md"));
        string[] members =
        [
            .. NamesOf(typeof(NativeMemory)),
            .. NamesOf(typeof(Marshal)).Where(name => s_memoryWords.Any(word =>
                name.Contains(word, StringComparison.Ordinal))),
            .. NamesOf(typeof(ArrayPool<byte>)),
        ];

        Assert.Contains("FreeHGlobal", members);
        Assert.Contains("Rent", members);
        string[] missing = [.. members.Where(name => !page.Contains(name + "`", StringComparison.Ordinal))];
        Assert.Empty(missing);
    }

    private static IEnumerable<string> NamesOf(Type type) => type
        .GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly)
        .Where(method => !method.IsSpecialName)
        .Select(method => method.Name)
        .Distinct();
}
