namespace NativeAlloc.TestHost;

/// <summary>
/// Frees a block twice into one magazine, and so much more that the magazine goes to the depot: after the thread's
/// first full magazine, whose objects are compared with their slabs.
/// </summary>
internal static unsafe class TwiceToDepot
{
    internal const string Name = "twice-to-depot", Passed = "nobody noticed";

    private const nuint BlockBytes = 64;

    // So many that a thread that is alone with the cache leaves magazines in the depot; then more than one magazine,
    // and more than three.
    private const int Blocks = 15_000, First = 400, Last = 1_600;

    internal static int Run()
    {
        nint[] blocks = new nint[Blocks];
        for (int i = 0; i < blocks.Length; i++) blocks[i] = (nint)NativeAllocator.Alloc(BlockBytes);
        for (int i = 0; i < Last; i++)
        {
            NativeAllocator.Free((void*)blocks[i]);
            if (i == First) NativeAllocator.Free((void*)blocks[i - 1]); // the last one would be seen at the call
        }
        Console.WriteLine(Passed);
        return 0;
    }
}
