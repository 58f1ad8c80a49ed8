using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace NativeAlloc.Smoke;

/// <summary>
/// Uses each part of the library once and says for each whether its contents were right. Exit code 0: all were. With
/// the argument <c>times</c> it measures two short traces, too; <c>contexts</c> runs all in two load contexts;
/// <c>first-use</c> only says whether the library runs here.
/// </summary>
internal static class Program
{
    private static int s_failed, s_passed;

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Contexts are run where nothing was trimmed.")]
    private static int Main(string[] args)
    {
        Console.WriteLine(
            $"{RuntimeInformation.FrameworkDescription}, {RuntimeInformation.RuntimeIdentifier}, system page " +
            $"{Environment.SystemPageSize}, {(System.Runtime.GCSettings.IsServerGC ? "server" : "workstation")} GC");
        if (args is ["first-use"]) return FirstUse();
        if (args is ["contexts"]) return Contexts.Run();
        Run("blocks", Parts.Blocks);
        Run("realloc", Parts.Realloc);
        Run("aligned", Parts.Aligned);
        Run("pages", Parts.Pages);
        Run("locked pages", Parts.LockedPages);
        Run("vmalloc", Parts.Vmalloc);
        Run("maps of high pages", Parts.Maps);
        Run("mirrored buffer", Parts.Mirror);
        Run("arena", Parts.Arena);
        Run("slab cache", Parts.Slab);
        Run("threads", Parts.Threads);
        Run("out of memory", Parts.OutOfMemory);
        Run("trim, and use again", Parts.TrimAndUse);
        if (args is ["times"]) Times.Write();
        Console.WriteLine($"{s_passed} passed, {s_failed} failed");
        return s_failed == 0 ? 0 : 1;
    }

    // What a system gets that the library does not run on.
    private static unsafe int FirstUse()
    {
        try
        {
            NativeAllocator.Free(NativeAllocator.Alloc(1));
            Console.WriteLine("The library runs here.");
            return 0;
        }
        catch (PlatformNotSupportedException error)
        {
            Console.WriteLine(error.Message);
            return 3;
        }
    }

    private static void Run(string name, Action part)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            part();
            s_passed++;
            Console.WriteLine($"  ok      {name} ({Stopwatch.GetElapsedTime(start).TotalMilliseconds:f0} ms)");
        }
#pragma warning disable CA1031 // whatever it is, the other parts run
        catch (Exception error)
        {
            s_failed++;
            Console.WriteLine($"  FAILED  {name}: {error}");
        }
#pragma warning restore CA1031
    }
}
