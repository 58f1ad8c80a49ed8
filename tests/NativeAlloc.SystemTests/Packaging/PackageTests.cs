using System.Globalization;
using System.IO.Compression;
using System.Runtime.InteropServices;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests.Packaging;

/// <summary>
/// Proves that the package holds what it must, and that a project of a user's, far from this repository, can use it.
/// </summary>
public sealed class PackageTests
{
    [Fact]
    [Trait("Category", "Slow")]
    public void The_package_holds_the_library_and_a_new_project_can_use_it()
    {
        using TemporaryDirectory directory = new();
        // A version that no cache has seen.
        string version = string.Create(CultureInfo.InvariantCulture, $"0.0.0-test.{DateTime.UtcNow.Ticks}");
        string packages = directory.MakeDirectory("packages");
        Pack(directory, packages, version);
        CheckContents(packages, version);
        CheckUse(directory, packages, version);
    }

    // Everything the build makes goes elsewhere too: the tree may be in use by another build.
    private static void Pack(TemporaryDirectory directory, string packages, string version) =>
        ChildProcess.RunDotnet(RepositoryTree.Root, [], "pack",
            RepositoryTree.PathOf("src", "NativeAlloc", "NativeAlloc.csproj"),
            "--configuration", "Release", "--output", packages, "--artifacts-path", directory.Combine("artifacts"),
            $"-p:Version={version}", "-p:UseSharedCompilation=false", "-p:RunAnalyzers=false").ShouldSucceed();

    private static void CheckContents(string packages, string version)
    {
        string[] files = Entries(Path.Combine(packages, $"NativeAlloc.{version}.nupkg"));
        foreach (string expected in new[] { "lib/net10.0/NativeAlloc.dll", "lib/net10.0/NativeAlloc.xml", "README.md",
            "NativeAlloc.nuspec", "icon.png" })
            Assert.Contains(expected, files);
        string[] assemblies =
            [.. files.Where(file => file.EndsWith(".dll", StringComparison.OrdinalIgnoreCase)).Order()];
        Assert.Equal(["analyzers/dotnet/cs/NativeAlloc.Analyzers.CodeFixes.dll",
            "analyzers/dotnet/cs/NativeAlloc.Analyzers.dll", "lib/net10.0/NativeAlloc.dll",
            .. IsCompiled ? (string[])["runtimes/linux-x64/lib/net10.0/NativeAlloc.dll"] : []], assemblies);
        string package = Path.Combine(packages, $"NativeAlloc.{version}.nupkg");
        string docs = ReadEntry(package, "lib/net10.0/NativeAlloc.xml");
        Assert.Contains("M:NativeAlloc.NativeAllocator.Alloc(", docs, StringComparison.Ordinal);
        Assert.DoesNotContain("name=\"T:NativeAlloc.Slabs.", docs, StringComparison.Ordinal); // no internal ones
        Assert.DoesNotContain("](docs/", ReadEntry(package, "README.md"), StringComparison.Ordinal);
        Assert.Contains("<projectUrl>https://", ReadEntry(package, "NativeAlloc.nuspec"), StringComparison.Ordinal);
        Assert.Contains("lib/net10.0/NativeAlloc.pdb",
            Entries(Path.Combine(packages, $"NativeAlloc.{version}.snupkg")));
    }

    // Only there can the package be made with compiled code in it.
    private static bool IsCompiled => RuntimeInformation.RuntimeIdentifier == "linux-x64" || (OperatingSystem.IsLinux()
        && RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64);

    private const int MostMethodsAtStart = 2;

    private static string[] Entries(string package)
    {
        Assert.True(File.Exists(package), $"there is no {Path.GetFileName(package)}");
        using ZipArchive archive = ZipFile.OpenRead(package);
        return [.. archive.Entries.Select(entry => entry.FullName)];
    }

    private static string ReadEntry(string package, string entry)
    {
        using ZipArchive archive = ZipFile.OpenRead(package);
        using StreamReader reader = new(archive.GetEntry(entry)!.Open());
        return reader.ReadToEnd();
    }

    private static void CheckUse(TemporaryDirectory directory, string packages, string version)
    {
        string project = directory.MakeDirectory("user");
        File.WriteAllText(Path.Combine(project, "user.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <UseAppHost>false</UseAppHost>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="NativeAlloc" Version="{version}" />
              </ItemGroup>
            </Project>
            """);
        // The one source: the package must need nothing else.
        File.WriteAllText(Path.Combine(project, "nuget.config"), $"""
            <configuration>
              <packageSources>
                <clear />
                <add key="local" value="{packages}" />
              </packageSources>
            </configuration>
            """);
        File.WriteAllText(Path.Combine(project, "Program.cs"), """
            using System;
            using System.Runtime.InteropServices;
            using NativeAlloc;

            long methods = System.Runtime.JitInfo.GetCompiledMethodCount(currentThread: true);
            IntPtr buffer = HGlobal.AllocHGlobal(4 * sizeof(int));
            methods = System.Runtime.JitInfo.GetCompiledMethodCount(currentThread: true) - methods;
            Marshal.Copy(new[] { 3, 1, 4, 1 }, 0, buffer, 4);
            buffer = HGlobal.ReAllocHGlobal(buffer, 5 * sizeof(int));
            Marshal.WriteInt32(buffer, 4 * sizeof(int), 5);
            int[] copy = new int[5];
            Marshal.Copy(buffer, copy, 0, 5);
            HGlobal.FreeHGlobal(buffer);

            IntPtr text = HGlobal.StringToHGlobalUTF8("grüße");
            string name = typeof(HGlobal).Assembly.GetName().Name;
            Console.WriteLine($"{string.Join(' ', copy)} {Marshal.PtrToStringUTF8(text)} {name}");
            HGlobal.FreeHGlobal(text);
            Console.WriteLine(NativeAllocator.GetStatistics().LiveBlocks);
            Console.WriteLine(methods);
            """);
        // A package cache of its own, so that the user's is left alone and cannot help.
        ChildProcess run = ChildProcess.RunDotnet(project, [("NUGET_PACKAGES", directory.Combine("cache"))],
            "run", "-p:UseSharedCompilation=false", "-p:RunAnalyzers=false").ShouldSucceed();
        string[] lines = run.Output.ReplaceLineEndings("\n").Trim().Split('\n');
        Assert.Equal(["3 1 4 1 5 grüße NativeAlloc", "0"], lines[..2]);
        // Without compiled code in the package the first allocation compiles 200 methods and more; with it, only what
        // the runtime makes at run time by itself.
        if (IsCompiled)
            Assert.InRange(int.Parse(lines[2], CultureInfo.InvariantCulture), 0, MostMethodsAtStart);
    }
}
