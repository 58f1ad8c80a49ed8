using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;

namespace NativeAlloc.TestHost;

/// <summary>
/// Loads the library into contexts that can be unloaded, one after the other, and uses it there. Prints how many of
/// them did not go, and how many GiB of addresses and memory files are left of them. The last one leaves a block
/// behind, whose contents have to stay.
/// </summary>
internal static unsafe class UnloadedContext
{
    internal const string Name = "unloaded-context";

    private const int Contexts = 3, MostCollections = 200;

    internal static int Run()
    {
        long before = ProcessMemory.AddressBytes();
        int alive = 0;
        for (int i = 0; i < Contexts; i++) alive += Await(Use(leaveBlock: false, out _)) ? 0 : 1;
        long left = (ProcessMemory.AddressBytes() - before) >> 30;
        int files = Directory.GetFiles("/proc/self/fd").Count(static file =>
            new FileInfo(file).LinkTarget?.Contains("nativealloc", StringComparison.Ordinal) == true);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{alive} {left} {files}"));
        WeakReference context = Use(leaveBlock: true, out byte* block);
        Await(context); // in vain
        return *block == 7 ? 0 : 1;
    }

    // Whether the context goes. The decay's thread has to see first that there is nothing more to give back.
    private static bool Await(WeakReference context)
    {
        for (int i = 0; i < MostCollections && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Thread.Sleep(10);
        }
        return !context.IsAlive;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Use(bool leaveBlock, out byte* left)
    {
        AssemblyLoadContext context = new("library", isCollectible: true);
        Assembly library = context.LoadFromAssemblyPath(typeof(NativeAllocator).Assembly.Location);
        var alloc = (delegate*<nuint, void*>)Find(library, "NativeAllocator", "Alloc", typeof(nuint));
        var free = (delegate*<void*, void>)Find(library, "NativeAllocator", "Free", typeof(void*));
        nint[] blocks = new nint[1000];
        for (int i = 0; i < blocks.Length; i++) blocks[i] = (nint)alloc((nuint)(i * i));
        foreach (nint block in blocks) free((void*)block);
        Type ring = library.GetType("NativeAlloc.MirroredBuffer", throwOnError: true)!;
        ((IDisposable)Activator.CreateInstance(ring, (nuint)100_000)!).Dispose(); // high pages
        left = null;
        if (leaveBlock) *(left = (byte*)alloc(100)) = 7;
        context.Unload();
        return new WeakReference(context);
    }

    private static nint Find(Assembly library, string type, string method, Type argument) =>
        library.GetType("NativeAlloc." + type, throwOnError: true)!.GetMethod(method, 0, [argument])!
            .MethodHandle.GetFunctionPointer();
}
