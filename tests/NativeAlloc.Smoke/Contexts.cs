using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace NativeAlloc.Smoke;

/// <summary>
/// Two copies of the library in one process, each in a load context of its own, the second collectible. Each runs all
/// parts; then the second is asked to go.
/// </summary>
internal static class Contexts
{
    private const int Tries = 30;

    [RequiresUnreferencedCode("Loads this program's own assemblies by their path.")]
    internal static int Run()
    {
        int failed = RunIn(new Own("first", isCollectible: false));
        WeakReference second = RunCollectible(ref failed);
        for (int tries = 0; tries < Tries && second.IsAlive; tries++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(100);
        }
        Console.WriteLine(second.IsAlive ? "the collectible context stays" : "the collectible context has gone");
        return failed;
    }

    [RequiresUnreferencedCode("Loads this program's own assemblies by their path.")]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference RunCollectible(ref int failed)
    {
        Own context = new("second", isCollectible: true);
        failed += RunIn(context);
        context.Unload();
        return new WeakReference(context);
    }

    [RequiresUnreferencedCode("Loads this program's own assemblies by their path.")]
    private static int RunIn(Own context)
    {
        Console.WriteLine($"context {context.Name}");
        Assembly copy = context.LoadFromAssemblyPath(Path.Combine(AppContext.BaseDirectory, "NativeAlloc.Smoke.dll"));
        return (int)copy.EntryPoint!.Invoke(null, [Array.Empty<string>()])!;
    }

    private sealed class Own(string name, bool isCollectible) : AssemblyLoadContext(name, isCollectible)
    {
        [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Only where nothing was trimmed.")]
        protected override Assembly? Load(AssemblyName assemblyName) => assemblyName.Name == "NativeAlloc"
            ? LoadFromAssemblyPath(Path.Combine(AppContext.BaseDirectory, "NativeAlloc.dll"))
            : null;
    }
}
