namespace NativeAlloc.Smoke;

/// <summary>The parts. Each throws where something is not as it should be.</summary>
internal static unsafe class Parts
{
    internal static void Blocks()
    {
        nuint[] sizes = [0, 1, 16, 100, 4096, 65_536, 300_000, 700_000, 3_000_000];
        void*[] blocks = new void*[sizes.Length * 12];
        for (int i = 0; i < blocks.Length; i++)
        {
            nuint size = sizes[i % sizes.Length];
            blocks[i] = i % 2 == 0 ? NativeAllocator.Alloc(size) : NativeAllocator.AllocZeroed(size);
            if (i % 2 != 0) Expect(blocks[i], size, 0);
            Write(blocks[i], size, ByteOf(i));
        }
        for (int i = 0; i < blocks.Length; i++)
        {
            Expect(blocks[i], sizes[i % sizes.Length], ByteOf(i));
            NativeAllocator.Free(blocks[i]);
        }
    }

    internal static void Realloc()
    {
        void* block = NativeAllocator.Alloc(8);
        *(byte*)block = 42;
        nuint size = 8;
        for (; size < 40_000_000; size = size * 3 / 2 + 7)
        {
            block = NativeAllocator.Realloc(block, size);
            Is(*(byte*)block == 42, "the first byte is kept");
            ((byte*)block)[size - 1] = 1;
        }
        for (; size > 100; size /= 5)
        {
            block = NativeAllocator.Realloc(block, size);
            Is(*(byte*)block == 42, "the first byte is kept");
        }
        NativeAllocator.Free(block);
    }

    internal static void Aligned()
    {
        for (nuint alignment = 1; alignment <= 4 << 20; alignment *= 2)
        {
            void* block = NativeAllocator.AlignedAlloc(1000, alignment);
            Is((nuint)block % alignment == 0, $"a multiple of {alignment}");
            Write(block, 1000, 7);
            NativeAllocator.AlignedFree(block);
        }
    }

    internal static void Pages()
    {
        for (int order = 0; order <= 6; order++)
        {
            void* block = PageAllocator.GetFreePages(order, PageFlags.Zeroed);
            nuint bytes = (nuint)PageAllocator.PageSize << order;
            Expect(block, bytes, 0);
            Write(block, bytes, 9);
            PageAllocator.FreePages(block, order);
        }
        void* exact = PageAllocator.AllocExact(5 * PageAllocator.PageSize);
        Write(exact, 5 * PageAllocator.PageSize, 3);
        PageAllocator.FreeExact(exact, 5 * PageAllocator.PageSize);
    }

    internal static void LockedPages()
    {
        void* block;
        try
        {
            block = PageAllocator.GetDmaPages(0);
        }
        catch (OutOfMemoryException error)
        {
            Console.WriteLine($"          (the system locks nothing: {error.Message})");
            return;
        }
        Write(block, PageAllocator.PageSize, 5);
        PageAllocator.FreePages(block, 0);
    }

    internal static void Vmalloc()
    {
        void* area = NativeAlloc.Vmalloc.AllocZeroed(10 << 20);
        Expect(area, 10 << 20, 0);
        Write(area, 10 << 20, 11);
        area = NativeAlloc.Vmalloc.Realloc(area, 30 << 20);
        Expect(area, 10 << 20, 11);
        Write(area, 30 << 20, 12);
        area = NativeAlloc.Vmalloc.Realloc(area, 1 << 20);
        Expect(area, 1 << 20, 12);
        NativeAlloc.Vmalloc.Free(area);
    }

    internal static void Maps()
    {
        Page[] pages = new Page[8];
        for (int i = 0; i < pages.Length; i++)
        {
            pages[i] = PageAllocator.AllocPage(PageFlags.High | PageFlags.Zeroed);
            Is(pages[i].Zone == PageZone.High, "a high page");
            void* window = PersistentMap.Map(pages[i]);
            Expect(window, PageAllocator.PageSize, 0);
            Write(window, PageAllocator.PageSize, ByteOf(i + 1));
            PersistentMap.Unmap(pages[i]);
        }
        void* fixedWindow = FixedMap.Set(3, pages[5]);
        Expect(fixedWindow, PageAllocator.PageSize, 6);
        FixedMap.Set(3, pages[6]);
        Expect(fixedWindow, PageAllocator.PageSize, 7);
        FixedMap.Clear(3);
        byte* map = (byte*)NativeAlloc.Vmalloc.Map([pages[2], pages[0], pages[2], pages[7]]);
        byte[] expected = [3, 1, 3, 8];
        for (int i = 0; i < expected.Length; i++)
            Expect(map + i * PageAllocator.PageSize, PageAllocator.PageSize, expected[i]);
        map[5] = 99;
        Is(map[2 * PageAllocator.PageSize + 5] == 99, "the same page twice");
        NativeAlloc.Vmalloc.Unmap(map);
        foreach (Page page in pages) PageAllocator.FreePage(page);
    }

    internal static void Mirror()
    {
        using MirroredBuffer ring = new(200_000);
        Span<byte> across = ring.GetSpan(ring.Length - 10, 20);
        for (int i = 0; i < across.Length; i++) across[i] = ByteOf(i);
        Is(ring.Pointer[0] == 10 && ring.Pointer[ring.Length] == 10, "what is behind the end is the beginning");
    }

    internal static void Arena()
    {
        using NativeArena arena = new(1 << 20);
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 10_000; i++) *arena.Alloc<long>() = i;
            Write(arena.Alloc(5 << 20), 5 << 20, 1);
            arena.Reset();
        }
    }

    internal static void Slab()
    {
        using SlabCache cache = new("smoke", 200);
        void*[] objects = new void*[5000];
        for (int i = 0; i < objects.Length; i++) Write(objects[i] = cache.Alloc(), 200, ByteOf(i));
        for (int i = 0; i < objects.Length; i++)
        {
            Expect(objects[i], 200, ByteOf(i));
            cache.Free(objects[i]);
        }
        cache.Shrink();
        cache.Free(cache.Alloc());
    }

    // Each thread frees what another made in the round before.
    internal static void Threads()
    {
        const int Count = 4, Rounds = 3;
        nint[][] made = [];
        for (int round = 0; round <= Rounds; round++)
        {
            nint[][] old = made, next = new nint[Count][];
            Exception?[] errors = new Exception?[Count];
            Thread[] threads = new Thread[Count];
            for (int i = 0; i < Count; i++)
            {
                int number = i;
                bool isLast = round == Rounds;
                threads[i] = new Thread(() =>
                {
                    errors[number] = Catch(() =>
                    {
                        if (old.Length != 0) FreeAll(old[(number + 1) % Count]);
                        if (!isLast) next[number] = Make();
                    });
                });
                threads[i].Start();
            }
            foreach (Thread thread in threads) thread.Join();
            foreach (Exception? error in errors)
                if (error != null) throw error;
            made = next;
        }
    }

    private static nint[] Make()
    {
        nint[] blocks = new nint[20_000];
        for (int at = 0; at < blocks.Length; at++)
        {
            blocks[at] = (nint)NativeAllocator.Alloc((nuint)(at % 1000) + 8);
            *(nint*)blocks[at] = at;
        }
        return blocks;
    }

    private static void FreeAll(nint[] blocks)
    {
        for (int at = 0; at < blocks.Length; at++)
        {
            Is(*(nint*)blocks[at] == at, "what another thread wrote");
            NativeAllocator.Free((void*)blocks[at]);
        }
    }

    private static Exception? Catch(Action action)
    {
#pragma warning disable CA1031 // the main thread throws it
        try
        {
            action();
            return null;
        }
        catch (Exception error)
        {
            return error;
        }
#pragma warning restore CA1031
    }

    internal static void OutOfMemory()
    {
        bool refused = false;
        try
        {
            NativeAllocator.Free(NativeAllocator.Alloc((nuint)1 << 50));
        }
        catch (OutOfMemoryException)
        {
            refused = true;
        }
        Is(refused && !NativeAllocator.TryAlloc((nuint)1 << 50, out _), "a petabyte is refused");
    }

    internal static void TrimAndUse()
    {
        // Every second block stays, so that slabs have holes that go back and are filled again.
        const int Count = 40_000;
        byte*[] blocks = new byte*[Count];
        for (int i = 0; i < Count; i++) Write(blocks[i] = (byte*)NativeAllocator.Alloc(1024), 1024, ByteOf(i));
        for (int i = 0; i < Count; i++)
            if (i / 64 % 2 != 0) NativeAllocator.Free(blocks[i]);
        NativeAllocator.Trim();
        for (int i = 0; i < Count; i++)
        {
            if (i / 64 % 2 != 0) Write(blocks[i] = (byte*)NativeAllocator.Alloc(1024), 1024, ByteOf(i));
            Expect(blocks[i], 1024, ByteOf(i));
        }
        foreach (byte* block in blocks) NativeAllocator.Free(block);
        nuint given = NativeAllocator.Trim();
        Is(given != 0, "a trim gives something back");
        Blocks();
    }

    private static byte ByteOf(int number) => (byte)(number & byte.MaxValue);

    private static void Write(void* block, nuint bytes, byte value) => NativeAllocator.Fill(block, bytes, value);

    private static void Expect(void* block, nuint bytes, byte value)
    {
        int at = new ReadOnlySpan<byte>(block, (int)bytes).IndexOfAnyExcept(value);
        if (at >= 0) throw new InvalidOperationException($"byte {at} of {bytes} is {((byte*)block)[at]}, not {value}");
    }

    private static void Is(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException($"not so: {what}");
    }
}
