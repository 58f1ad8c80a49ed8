namespace NativeAlloc.TestHost;

/// <summary>
/// Takes large blocks that it does not touch until there is none any more. Prints how many there were and why there is
/// no other. Smaller blocks are to be had all the same, and a large one as soon as one is freed.
/// </summary>
internal static unsafe class AddressesEnd
{
    internal const string Name = "addresses-end";

    private const nuint BlockBytes = 256 << 20;
    private const int MostBlocks = 1000;

    internal static int Run()
    {
        List<nint> blocks = [];
        try
        {
            while (blocks.Count < MostBlocks) blocks.Add((nint)NativeAllocator.Alloc(BlockBytes));
            return 1;
        }
        catch (OutOfMemoryException error)
        {
            Console.WriteLine($"{blocks.Count} {error.Message}");
        }
        foreach (nuint bytes in (nuint[])[100, 100_000, 800_000, 5_000_000])
            NativeAllocator.Free(NativeAllocator.Alloc(bytes));
        NativeAllocator.Free((void*)blocks[0]);
        blocks[0] = (nint)NativeAllocator.Alloc(BlockBytes);
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        NativeAllocator.Verify();
        return 0;
    }
}
