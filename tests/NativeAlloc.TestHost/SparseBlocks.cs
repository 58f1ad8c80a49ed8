namespace NativeAlloc.TestHost;

/// <summary>
/// A heap of blocks of which only the first system page is written. Fails where more memory came than was written, and
/// some.
/// </summary>
internal static unsafe class SparseBlocks
{
    internal const string Name = "sparse-blocks";

    // Slabs of one page of the library for each block: 256 MiB of addresses.
    private const int BlockBytes = 64 * 1024, Blocks = 4096;

    private const long SlackBytes = 16 << 20;

    internal static int Run()
    {
        NativeAllocator.Free(NativeAllocator.Alloc(BlockBytes));
        nint[] blocks = new nint[Blocks];
        long before = ProcessMemory.MappedBytes();
        for (int i = 0; i < Blocks; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(BlockBytes);
            *(byte*)blocks[i] = 1;
        }
        long grown = ProcessMemory.MappedBytes() - before, written = (long)Blocks * Environment.SystemPageSize;
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        if (grown <= 2 * written + SlackBytes) return 0;
        Console.Error.WriteLine($"{grown} bytes became resident, and {written} were written.");
        return 1;
    }
}
