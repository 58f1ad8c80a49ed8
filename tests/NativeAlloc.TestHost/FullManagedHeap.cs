namespace NativeAlloc.TestHost;

/// <summary>
/// A program whose managed heap is full when it uses the allocator for the first time, and has room again later. The size of the heap is set from outside.
/// </summary>
internal static unsafe class FullManagedHeap
{
    internal const string Name = "full-managed-heap";

    internal static int Run()
    {
        bool isRefused = false, isRefusedInTry = false;
        void* pointer = null;
        object[]? chain = null;
        // What is left is less than the allocator's tables need, and enough for the runtime's own exceptions.
        foreach (int bytes in (int[])[1_000_000, 40_000])
        {
            try
            {
                while (true) chain = [chain!, new byte[bytes]];
            }
            catch (OutOfMemoryException)
            {
                // The heap has no room for one more of this size.
            }
        }
        try
        {
            isRefusedInTry = !NativeAllocator.TryAlloc(100, out pointer);
            pointer = NativeAllocator.Alloc(100);
        }
        catch (OutOfMemoryException)
        {
            isRefused = true;
        }
        GC.KeepAlive(chain);
        chain = null;
        GC.Collect();
        for (nuint bytes = 16; bytes <= 600_000; bytes += bytes / 2) NativeAllocator.Free(NativeAllocator.Alloc(bytes));
        NativeAllocator.Verify();
        Console.WriteLine($"refused {isRefused} {isRefusedInTry}");
        return 0;
    }
}
