using System.Globalization;

namespace NativeAlloc.TestHost;

/// <summary>
/// A heap of blocks of which only the first system page is written; if asked, all of them are freed and taken again,
/// zeroed. Fails where more memory came than was written, and some.
/// </summary>
internal static unsafe class SparseBlocks
{
    internal const string Name = "sparse-blocks";

    // 512 MiB of addresses in all: slabs of one page of the library for each block, or areas.
    internal const int SlabBytes = 64 * 1024, AreaBytes = 8 << 20, HeapBytes = 512 << 20;

    private const long SlackBytes = 16 << 20;

    /// <param name="args">Bytes of each block, and how often they are taken, zeroed from the second time on.</param>
    internal static int Run(string[] args)
    {
        int blockBytes = int.Parse(args[0], CultureInfo.InvariantCulture);
        NativeAllocator.Free(NativeAllocator.Alloc((nuint)blockBytes));
        nint[] blocks = new nint[HeapBytes / blockBytes];
        long before = ProcessMemory.MappedBytes();
        for (int round = 0, rounds = int.Parse(args[1], CultureInfo.InvariantCulture); round < rounds; round++)
        {
            foreach (nint block in blocks) NativeAllocator.Free((void*)block);
            for (int i = 0; i < blocks.Length; i++)
            {
                blocks[i] = (nint)(round == 0 ? NativeAllocator.Alloc((nuint)blockBytes)
                    : NativeAllocator.AllocZeroed((nuint)blockBytes));
                *(byte*)blocks[i] = 1;
            }
        }
        long grown = ProcessMemory.MappedBytes() - before, written = (long)blocks.Length * Environment.SystemPageSize;
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        if (grown <= 2 * written + SlackBytes) return 0;
        Console.Error.WriteLine($"{grown} bytes became resident, and {written} were written.");
        return 1;
    }
}
