using System.Runtime.InteropServices;

namespace NativeAlloc.TestHost;

/// <summary>
/// The catalogue of mistakes in the use of memory: makes one of them, goes on a little, and prints what became of it.
/// An allocator that notices ends the process or throws.
/// </summary>
internal static unsafe partial class Misuse
{
    internal const string Name = "misuse";

    /// <summary>How a line begins: what was thrown, and what became of it where nobody noticed.</summary>
    internal const string Thrown = "thrown: ", Missed = "missed: ";

    /// <summary>The line that says that the calls with the mistake have returned.</summary>
    internal const string Passed = "passed";

    private const nuint Bytes = 72; // neither a class of a size nor a multiple of 16

    private static IMisusedAllocator s_allocator = new OwnAllocator();

    /// <summary>Mistakes that any allocator can be used for.</summary>
    internal static readonly Dictionary<string, Action> General = new()
    {
        ["double free at once"] = () => FreeInTurn(0, 0),
        ["double free, one between"] = () => FreeInTurn(0, 1, 0),
        ["double free, 1,000 between"] = () => FreeAfterOthers(1_000),
        ["double free, 100,000 between"] = () => FreeAfterOthers(100_000),
        ["double free on two threads"] = FreeOnTwoThreads,
        ["double free after reuse"] = FreeAfterReuse,
        ["double free of 100 KiB"] = () => FreeTwice(100_000),
        ["double free of 4 MiB"] = () => FreeTwice(4 << 20),
        ["overflow by 1 byte"] = () => Overrun((int)Bytes, 1),
        ["overflow by 8 bytes"] = () => Overrun((int)Bytes, 8),
        ["overflow by a page"] = () => Overrun((int)Bytes, 4096),
        ["underflow by 8 bytes"] = () => Overrun(-8, 8),
        ["free of a pointer 8 bytes inside"] = () => FreeWrong(8),
        ["free of a pointer 16 bytes inside"] = () => FreeWrong(16),
        ["free of memory never allocated"] = () => FreeWrong(40_000),
        ["free of a stack address"] = FreeStack,
        ["free of a managed address"] = FreeManaged,
        ["write after free"] = WriteAfterFree,
        ["read after free"] = ReadAfterFree,
        ["read of fresh memory"] = ReadFresh,
        ["realloc of a freed one"] = () => UseFreed(pointer => s_allocator.Realloc(pointer, 4 * Bytes)),
        ["realloc of a freed one in its place"] = () => UseFreed(pointer => s_allocator.Realloc(pointer, Bytes)),
        ["usable size of a freed block"] = () => UseFreed(pointer => (void*)s_allocator.UsableSize(pointer)),
    };

    /// <summary>Mistakes with what only this library has.</summary>
    internal static readonly Dictionary<string, Action> Own = new()
    {
        ["double free after the slab has gone"] = FreeAfterTrim,
        ["free of a block of malloc"] = () => NativeAllocator.Free(NativeMemory.Alloc(Bytes)),
        ["free of the allocator's own memory"] = FreeMetadata,
        ["double free of a cache's object"] = CacheTwice,
        ["another cache's object"] = OtherCache,
        ["a block of NativeAllocator to a cache"] = () => new SlabCache("own", Bytes).Free(Alloc()),
        ["object of a cache that is disposed of"] = DisposedCache,
        ["overflow of a cache's object"] = CacheOverflow,
        ["a block of an arena"] = FreeOfArena,
        ["a block of NativeAllocator to Vmalloc"] = () => Vmalloc.Free(NativeAllocator.Alloc(4 << 20)),
        ["a page, twice"] = PageTwice,
        ["a size that overflows"] = () => NativeAllocator.Alloc(nuint.MaxValue / 2, 4),
        ["a leak"] = () => _ = s_allocator.Alloc(12_345),
    };

    internal static int Run(string[] args)
    {
        if (args.Length > 1) s_allocator = new ForeignAllocator(args[1], args.Length > 2 ? args[2] : "");
        Action mistake = General.TryGetValue(args[0], out Action? general) ? general : Own[args[0]];
        try
        {
            mistake();
            Console.WriteLine(Missed + "nothing else");
            s_allocator.Settle();
        }
        catch (Exception error)
        {
            Console.WriteLine(Thrown + error.GetType().Name + ": " + error.Message);
        }
        return 0;
    }

    private static byte* Alloc() => (byte*)s_allocator.Alloc(Bytes);

    // Frees some of two blocks, and allocates as many as they need to come round.
    private static void FreeInTurn(params int[] order)
    {
        nint[] blocks = [(nint)Alloc(), (nint)Alloc()];
        foreach (int index in order) s_allocator.Free((void*)blocks[index]);
        Console.WriteLine(Passed);
        LookForTwice(300);
    }

    private static void LookForTwice(int count)
    {
        HashSet<nint> seen = [];
        bool isTwice = false;
        List<nint> all = [];
        for (int i = 0; i < count; i++)
        {
            nint pointer = (nint)Alloc();
            isTwice |= !seen.Add(pointer);
            all.Add(pointer);
        }
        if (isTwice) Console.WriteLine(Missed + "a block has two owners");
        foreach (nint pointer in all) s_allocator.Free((void*)pointer);
    }

    private static void FreeAfterOthers(int count)
    {
        byte* block = Alloc();
        nint[] others = new nint[count];
        for (int i = 0; i < count; i++) others[i] = (nint)Alloc();
        s_allocator.Free(block);
        foreach (nint other in others) s_allocator.Free((void*)other);
        s_allocator.Free(block);
        Console.WriteLine(Passed);
        LookForTwice(count + 300);
    }

    private static void FreeOnTwoThreads()
    {
        byte* block = Alloc();
        for (int i = 0; i < 2; i++)
        {
            TestThread.RunOnNew(() =>
            {
                s_allocator.Free(block);
                LookForTwice(50);
            });
        }
        Console.WriteLine(Passed);
        LookForTwice(300);
    }

    private static void FreeAfterReuse()
    {
        byte* block = Alloc();
        s_allocator.Free(block);
        byte* next = Alloc();
        s_allocator.Free(block);
        Console.WriteLine(Passed);
        if (next == block && Alloc() == next) Console.WriteLine(Missed + "a block has two owners");
        s_allocator.Free(next);
        LookForTwice(300);
    }

    private static void FreeTwice(nuint bytes)
    {
        void* block = s_allocator.Alloc(bytes);
        s_allocator.Free(block);
        s_allocator.Free(block);
        Console.WriteLine(Passed);
    }

    private static void Overrun(int offset, int bytes)
    {
        byte* before = Alloc(), block = Alloc(), behind = Alloc();
        new Span<byte>(unchecked((byte*)((nint)block + offset)), bytes).Fill(0x11);
        Console.WriteLine(Passed);
        s_allocator.Free(block);
        s_allocator.Free(before);
        s_allocator.Free(behind);
        LookForTwice(300);
    }

    private static void FreeWrong(int offset)
    {
        byte* block = Alloc();
        new Span<byte>(block, (int)Bytes).Clear();
        s_allocator.Free(block + offset);
        Console.WriteLine(Passed);
        nint[] next = [(nint)Alloc(), (nint)Alloc(), (nint)Alloc()];
        if (next.Contains((nint)(block + offset))) Console.WriteLine(Missed + "the pointer was handed out");
        foreach (nint pointer in next) s_allocator.Free((void*)pointer);
        LookForTwice(2_000);
    }

    private static void FreeStack()
    {
        long* local = stackalloc long[64];
        s_allocator.Free(local + 8);
        Console.WriteLine(Passed);
    }

    private static void FreeManaged()
    {
        byte[] managed = GC.AllocateArray<byte>(100_000, pinned: true);
        fixed (byte* pointer = managed) s_allocator.Free(pointer + 64);
    }

    private static void WriteAfterFree()
    {
        byte* block = Alloc();
        s_allocator.Free(block);
        block[20] = 0x11;
        Console.WriteLine(Passed);
        LookForTwice(300);
    }

    private static void ReadAfterFree()
    {
        byte* block = Alloc();
        new Span<byte>(block, (int)Bytes).Fill(0x22);
        s_allocator.Free(block);
        Console.WriteLine(block[40] == 0x22 ? Missed + "the old contents are read" : $"reads 0x{block[40]:x}");
    }

    private static void ReadFresh()
    {
        for (int i = 0; i < 3; i++)
        {
            byte* block = Alloc();
            if (i == 2) Console.WriteLine(block[40] == 0x5A ? "reads 0x5a" : Missed + $"reads 0x{block[40]:x}");
            new Span<byte>(block, (int)Bytes).Fill(0x22);
            s_allocator.Free(block);
        }
    }

    private delegate void* UseOf(void* pointer);

    private static void UseFreed(UseOf use)
    {
        byte* block = Alloc();
        s_allocator.Free(block);
        use(block);
        Console.WriteLine(Passed);
        LookForTwice(300);
    }
}
