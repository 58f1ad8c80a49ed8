namespace NativeAlloc.TestHost;

/// <summary>
/// A program with a wrong option in its environment. It prints, for each way to memory that it tries, what that said.
/// </summary>
internal static unsafe class WrongOption
{
    internal const string Name = "wrong-option";

    internal static int Run()
    {
        Try("Alloc", () => NativeAllocator.Alloc(1));
        Try("MirroredBuffer", () => new MirroredBuffer(200_000).Dispose());
        Try("NativeArena", () => new NativeArena(1).Dispose());
        Try("Vmalloc", () => Vmalloc.Alloc(1));
        Try("AllocPage", () => PageAllocator.AllocPage());
        void* pointer = null;
        Try("TryAlloc", () => NativeAllocator.TryAlloc(1, out pointer));
        Try("TryAllocZeroed", () => NativeAllocator.TryAllocZeroed(100_000, out pointer));
        Try("TryAlignedAlloc", () => NativeAllocator.TryAlignedAlloc(100, 64, out pointer));
        return pointer == null ? 0 : 1;
    }

    private static void Try(string what, Action action)
    {
        try
        {
            action();
            Console.WriteLine($"{what}: nothing");
        }
        catch (InvalidOperationException)
        {
            Console.WriteLine($"{what}: told");
        }
    }
}
