using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests.GeneratedCode;

/// <summary>
/// Proves that the fast paths are compiled to as few instructions as they were when they were last measured, and to
/// none that would cost more than it counts. A timing that is worse by a nanosecond drowns in noise; a load or a check
/// that has crept in does not.
/// </summary>
public sealed class FastPathTests
{
    private static readonly string s_golden =
        RepositoryTree.PathOf("tests", "NativeAlloc.SystemTests", "GeneratedCode", "FastPaths.txt");

    [Fact]
    [Trait("Category", "Slow")]
    public void No_fast_path_has_more_instructions_than_before_or_a_lock_a_second_call_or_a_bounds_check()
    {
        if (!(OperatingSystem.IsLinux()
            && RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64))
        {
            // Another processor's instructions cannot be compared with these numbers, and another system finds a
            // thread's own memory in another way.
            Assert.NotEqual("linux-x64", RuntimeInformation.RuntimeIdentifier);
            return;
        }
        using TemporaryDirectory directory = new();
        string host = ReleaseHost(directory);
        List<string> worse = [];
        // The compiler goes by what it has counted until then, and by which classes were ready: now and then it makes
        // an instruction more of the same method. One that has crept in is there each time. Where the machine is busy,
        // the process may end before the compiler is done.
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            worse = FindWorse(Compile(host, directory.Combine($"listing{attempt}.txt")));
            if (worse.Count == 0) return;
        }
        Assert.Fail($"{string.Join("\n", worse)}\nIf that is meant, change {s_golden}.");
    }

    private const int Attempts = 3;

    private static List<string> FindWorse(string[] lines)
    {
        Dictionary<string, int> golden = ReadGolden();
        Assert.Equal(CodeProbes.Methods.Order(), golden.Keys.Order());
        List<string> worse = [];
        foreach (string method in CodeProbes.Methods)
        {
            if (Find(lines, method, worse) is not { } listing) continue;
            List<string> path = listing.FastPath();
            string text = $"{method}:\n  {string.Join("\n  ", path)}";
            Assert.True(path.Count > 5,
                $"no fast path was found in {method}:\n{string.Join('\n', listing.Instructions)}");
            if (path.Count > golden[method])
                worse.Add($"{path.Count} instructions instead of {golden[method]} in {text}");
            if (path.Any(instruction => instruction.StartsWith("lock", StringComparison.Ordinal)))
                worse.Add($"a lock in {text}");
            if (path.Count(instruction => instruction.StartsWith("call ", StringComparison.Ordinal)) > 1)
                worse.Add($"a call besides the thread's lookup in {text}");
            if (listing.Instructions.Any(instruction => instruction.Contains("RNGCHKFAIL", StringComparison.Ordinal)))
                worse.Add($"a bounds check in {text}");
            // The class of a constant size is a constant.
            if (method == CodeProbes.ConstantSize && path.Any(instruction => instruction.StartsWith("movzx ",
                StringComparison.Ordinal) && instruction.Contains('[', StringComparison.Ordinal)))
                worse.Add($"a table lookup in {text}");
        }
        FindMissingAccesses(lines, worse);
        return worse;
    }

    // A recall trusts that each pop loads its slot, and that each push and pop stores the top, also where several are
    // inlined into one method.
    private static void FindMissingAccesses(string[] lines, List<string> worse)
    {
        if (Find(lines, CodeProbes.PushesAndPops, worse) is not { } listing) return;
        List<string> path = listing.FastPath();
        int slotLoads = path.Count(instruction => Regex.IsMatch(instruction, @"^mov \w+, qword ptr \[\w+-0x08\]$"));
        int stores = path.Count(instruction => Regex.IsMatch(instruction, @"^mov qword ptr \[.*\], \w+$"));
        // Two slots, four tops, and what the method itself stores.
        if (slotLoads == 2 && stores == 2 + 4 + 2) return;
        string text = $"{slotLoads} loads of slots and {stores} stores in {CodeProbes.PushesAndPops}";
        worse.Add($"{text}:\n  {string.Join("\n  ", path)}");
    }

    // Null, and a complaint, where the method was not compiled for good.
    private static Listing? Find(string[] lines, string method, List<string> worse)
    {
        Listing? listing = Listing.Find(lines, typeof(CodeProbes).FullName!, method);
        if (listing != null) return listing;
        IEnumerable<string> compiled = lines.Where(line => line.StartsWith("; Assembly", StringComparison.Ordinal));
        worse.Add($"{method} was not compiled for good; the listing has:\n{string.Join('\n', compiled)}");
        return null;
    }

    [Fact]
    public void A_fast_path_is_found_wherever_the_slow_ones_are()
    {
        string[] lines =
        [
            "; Assembly listing for method Some.Type:Method(ptr) (Tier0)", "G_M000_IG01:   ;; offset=0x0000",
            "       nop", "G_M000_IG02:", "       ret",
            "; Assembly listing for method Some.Type:Method(ptr) (Tier1)", "; Tier1 code", "",
            "G_M000_IG01:                ;; offset=0x0000", "       push     rbp", " ",
            "G_M000_IG02:                ;; offset=0x0001", "       test     rdi, rdi",
            "       jne      SHORT G_M000_IG05", " ",
            "G_M000_IG03:", "       call     [NativeAlloc.Some:Slow()]", " ",
            "G_M000_IG04:", "       add      rsp, 8", "       pop      rbp", "       ret      ", " ",
            "G_M000_IG05:", "       lock     ", "       inc      qword ptr [rdi]", "       jmp      SHORT G_M000_IG04",
            "",
            "; Total bytes of code 78",
            "; Assembly listing for method Some.Type:Other() (Tier1)", "G_M000_IG01:", "       ret",
        ];
        Assert.Null(Listing.Find(lines, "Some.Type", "Missing"));
        Listing? listing = Listing.Find(lines, "Some.Type", "Method");
        Assert.NotNull(listing);
        Assert.Equal(["test rdi, rdi", "jne SHORT G_M000_IG05", "lock", "inc qword ptr [rdi]"], listing.FastPath());
    }

    // The code that users run: of a release build, compiled step by step as the runtime does it by itself, only without
    // its pauses.
    private static string[] Compile(string host, string listing)
    {
        string methods = string.Join(' ', CodeProbes.Methods.Append(CodeProbes.PushesAndPops));
        ChildProcess.RunDotnet(
            Path.GetDirectoryName(listing)!,
            [
                ("DOTNET_TC_CallCountingDelayMs", "0"), ("DOTNET_TC_BackgroundWorkerTimeoutMs", "0"),
                ("DOTNET_JitDisasm", methods), ("DOTNET_JitStdOutFile", listing),
            ],
            host,
            CodeProbes.Name).ShouldSucceed();
        return File.ReadAllLines(listing);
    }

    // The release build of the tree, if that is there and newer than all it is made from; else one that is made here.
    private static string ReleaseHost(TemporaryDirectory directory)
    {
        string host = typeof(CodeProbes).Assembly.Location, name = Path.GetFileName(host);
        Assembly library = typeof(NativeAllocator).Assembly;
        if (library.GetCustomAttribute<AssemblyConfigurationAttribute>() is { Configuration: "Release" }) return host;
        string built = RepositoryTree.PathOf("tests", "NativeAlloc.TestHost", "bin", "Release", "net10.0", name);
        DateTime time = File.GetLastWriteTimeUtc(built);
        if (File.Exists(built) && Sources().All(file => File.GetLastWriteTimeUtc(file) < time)) return built;
        string output = directory.MakeDirectory("host");
        ChildProcess.RunDotnet(RepositoryTree.Root, [], "build",
            RepositoryTree.PathOf("tests", "NativeAlloc.TestHost", "NativeAlloc.TestHost.csproj"),
            "--configuration", "Release", "--output", output, "--artifacts-path", directory.Combine("artifacts"),
            "-p:UseSharedCompilation=false", "-p:RunAnalyzers=false").ShouldSucceed();
        return Path.Combine(output, name);
    }

    private static IEnumerable<string> Sources()
    {
        string[] roots =
            [RepositoryTree.PathOf("src", "NativeAlloc"), RepositoryTree.PathOf("tests", "NativeAlloc.TestHost")];
        return roots.SelectMany(root => Directory.EnumerateFiles(root, "*.cs*", SearchOption.AllDirectories))
            .Where(file => !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj"))
            .Append(RepositoryTree.PathOf("Directory.Build.props"));
    }

    private static Dictionary<string, int> ReadGolden() => File.ReadLines(s_golden)
        .Where(line => line.Length != 0 && line[0] != '#')
        .Select(line => line.Split(' '))
        .ToDictionary(words => words[0], words => int.Parse(words[1], CultureInfo.InvariantCulture));
}
