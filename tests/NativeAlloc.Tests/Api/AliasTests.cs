using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Emit;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that an alias is all it takes to change allocators: the same program, which uses every member, is compiled
/// against the framework's classes and against the library's, and says the same.
/// </summary>
public sealed class AliasTests : LeakCheckedTests
{
    private const string Program = """
        using System;
        using System.Runtime.InteropServices;
        using System.Security;
        using System.Text;
        {0}
        public static unsafe class Program
        {
            public static string Run()
            {
                StringBuilder said = new();
                byte* block = (byte*)Memory.Alloc(100);
                Memory.Fill(block, 100, 7);
                block = (byte*)Memory.Realloc(block, 1000);
                said.Append(block[99]).Append(' ');
                Memory.Clear(block, 1000);
                said.Append(block[99]).Append(' ');
                byte* zeroed = (byte*)Memory.AllocZeroed(10, 10);
                Memory.Fill(zeroed, 50, 3);
                Memory.Copy(zeroed, block, 60);
                said.Append(block[49]).Append(block[50]).Append(' ');
                byte* aligned = (byte*)Memory.AlignedAlloc(100, 256);
                // The C library of Windows changes no alignment.
                aligned = (byte*)Memory.AlignedRealloc(aligned, 1000, 256);
                said.Append((nint)aligned % 256).Append(' ');
                Memory.AlignedFree(aligned);
                Memory.Free(block);
                Memory.Free(zeroed);
                Memory.Free(Memory.Alloc(3, 5));
                Memory.Free(Memory.AllocZeroed(0));
                Memory.Free(null);
                try { Memory.Alloc(nuint.MaxValue); } catch (OutOfMemoryException) { said.Append("out "); }
                try { Memory.Alloc(nuint.MaxValue, 2); } catch (OutOfMemoryException) { said.Append("out "); }
                try { Memory.AlignedAlloc(1, 3); }
                catch (ArgumentException e) { said.Append(e.GetType().Name).Append(' '); }

                IntPtr first = Global.AllocHGlobal(10), second = Global.AllocHGlobal((IntPtr)20);
                Marshal.WriteInt64(first, 42);
                first = Global.ReAllocHGlobal(first, (IntPtr)100);
                said.Append(Marshal.ReadInt64(first)).Append(' ');
                Global.FreeHGlobal(first);
                Global.FreeHGlobal(second);
                IntPtr text = Global.StringToHGlobalAnsi("ä");
                said.Append(Marshal.PtrToStringAnsi(text));
                Global.ZeroFreeGlobalAllocAnsi(text);
                text = Global.StringToHGlobalUni("ö");
                said.Append(Marshal.PtrToStringUni(text));
                Global.ZeroFreeGlobalAllocUnicode(text);
                text = Global.StringToHGlobalAuto("ü");
                said.Append(Marshal.PtrToStringAuto(text));
                Global.FreeHGlobal(text);
                SecureString secret = new();
                secret.AppendChar('s');
                text = Global.SecureStringToGlobalAllocAnsi(secret);
                said.Append(Marshal.PtrToStringAnsi(text));
                Global.ZeroFreeGlobalAllocAnsi(text);
                text = Global.SecureStringToGlobalAllocUnicode(secret);
                said.Append(Marshal.PtrToStringUni(text));
                Global.ZeroFreeGlobalAllocUnicode(text);
                return said.ToString();
            }
        }
        """;

    [Fact]
    public void The_same_program_says_the_same_with_either_allocator()
    {
        string theirs = Run("using Memory = System.Runtime.InteropServices.NativeMemory; " +
            "using Global = System.Runtime.InteropServices.Marshal;");
        string ours = Run("using Memory = NativeAlloc.NativeAllocator; using Global = NativeAlloc.HGlobal;");
        Assert.Equal("7 0 30 0 out out ArgumentException 42 äöüss", theirs);
        Assert.Equal(theirs, ours);
    }

    private static string Run(string aliases)
    {
        string assemblies = (string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!;
        CSharpCompilation compilation = CSharpCompilation.Create("alias",
            [CSharpSyntaxTree.ParseText(Program.Replace("{0}", aliases, StringComparison.Ordinal))],
            [.. assemblies.Split(Path.PathSeparator).Where(IsNeeded).Select(
                file => MetadataReference.CreateFromFile(file))],
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));
        using MemoryStream image = new();
        EmitResult result = compilation.Emit(image);
        Assert.True(result.Success, string.Join('\n', result.Diagnostics));
        return (string)Assembly.Load(image.ToArray()).GetType("Program")!.GetMethod("Run")!.Invoke(null, null)!;
    }

    private static bool IsNeeded(string file) => Path.GetFileNameWithoutExtension(file)
        is "System.Private.CoreLib" or "System.Runtime" or "System.Runtime.InteropServices" or "NativeAlloc";
}
