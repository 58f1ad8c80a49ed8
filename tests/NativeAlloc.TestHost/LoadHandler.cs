using System.Diagnostics;
using System.Runtime.CompilerServices;
using NativeAlloc.Threads;

namespace NativeAlloc.TestHost;

/// <summary>
/// A program that allocates whenever the runtime loads an assembly, which is also in the middle of the allocator's own
/// first use. It prints in which methods of the library that happened, and how many thread blocks there are for its one
/// thread.
/// </summary>
internal static unsafe class LoadHandler
{
    internal const string Name = "load-handler";

    private static bool s_isInside;

    // The program's one thread. The runtime loads assemblies on others, too: a second after it was made the decay's
    // thread has the telemetry made, and the runtime's thread that compiles methods anew may need an assembly. A
    // process that takes so long gets as far as that. A thread that the handler allocated on would have a block.
    private static int s_thread;

    private static readonly List<string> s_methods = [];

    internal static int Run()
    {
        _ = new StackTrace().GetFrames().Select(NameOf).ToArray(); // loads what the handler needs
        s_thread = Environment.CurrentManagedThreadId;
        AppDomain.CurrentDomain.AssemblyLoad += (_, _) => OnLoad();
        NativeAllocator.Free(First());
        List<nint> blocks = [];
        for (nuint bytes = 16; bytes <= 600_000; bytes += bytes / 2) blocks.Add((nint)NativeAllocator.Alloc(bytes));
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        foreach (string method in s_methods) Console.WriteLine(method);
        Console.WriteLine($"blocks {ThreadRegistry.Count}");
        NativeAllocator.Verify();
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void* First() => NativeAllocator.Alloc(100);

    private static void OnLoad()
    {
        if (s_isInside || Environment.CurrentManagedThreadId != s_thread) return;
        s_isInside = true;
        string? inner = new StackTrace().GetFrames().Select(NameOf)
            .FirstOrDefault(name => name.StartsWith("NativeAlloc.", StringComparison.Ordinal));
        if (inner != null) s_methods.Add(inner);
        NativeAllocator.Free(NativeAllocator.Alloc(64));
        s_isInside = false;
    }

    private static string NameOf(StackFrame frame)
    {
        System.Reflection.MethodBase? method = frame.GetMethod();
        bool isLibrary = method?.DeclaringType?.Assembly == typeof(NativeAllocator).Assembly;
        return isLibrary ? $"{method!.DeclaringType!.FullName}.{method.Name}" : "";
    }
}
