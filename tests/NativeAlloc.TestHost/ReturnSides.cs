using NativeAlloc.Pages;
using NativeAlloc.Slabs;

namespace NativeAlloc.TestHost;

/// <summary>
/// What happens to the classes that share cache lines as a second thread turns up. In a process of its own, as it
/// happens once in a process's life: whoever tests it must be the first. What is not as it should be is thrown.
/// </summary>
internal static unsafe class ReturnSides
{
    internal const string Name = "return-sides";

    private const int Objects = 20_000;

    private static readonly nuint[] s_sizes = [16, 32, 48];

    internal static int Run()
    {
        AllocatorStatistics before = NativeAllocator.GetStatistics();
        nint[][] early = [.. s_sizes.Select(AsOneThread)];
        foreach (nint[] objects in early) CheckPages(objects, side: false);
        nint[][] others = new nint[s_sizes.Length][];
        using ManualResetEventSlim ready = new(), go = new();
        Exception? error = null;
        Thread second = new(() =>
        {
            try
            {
                for (int i = 0; i < s_sizes.Length; i++) others[i] = AllocAll(s_sizes[i], Objects);
                ready.Set();
                go.Wait();
                for (int i = 0; i < s_sizes.Length; i++) CheckNoLineComesBack(s_sizes[i], (void*)early[i][0]);
                for (int i = 0; i < s_sizes.Length; i++) FreeAll(early[i].AsSpan(1, Objects / 2));
            }
            catch (Exception caught)
            {
                error = caught;
                ready.Set();
            }
        });
        second.Start();
        ready.Wait();
        if (error != null) throw error;
        for (int i = 0; i < s_sizes.Length; i++)
        {
            CheckPages(early[i], side: true);
            CheckPages(others[i], side: true);
            CheckMembers(s_sizes[i], early[i][^1]);
            CheckMembers(s_sizes[i], others[i][^1]);
        }
        CheckLive(before, 2 * Objects);
        go.Set();
        second.Join();
        if (error != null) throw error;
        for (int i = 0; i < s_sizes.Length; i++)
        {
            FreeAll(early[i].AsSpan(1 + Objects / 2)); // their own thread's, and allocated before the change
            FreeAll(others[i]);
        }
        // From here on new slabs have the side's byte from the start.
        foreach (nuint size in s_sizes)
        {
            NativeAllocator.Trim();
            nint[] late = AllocAll(size, Objects);
            CheckPages(late, side: true);
            FreeAll(late);
        }
        CheckLive(before, 0);
        NativeAllocator.Trim();
        NativeAllocator.Verify();
        CheckLive(before, 0);
        return 0;
    }

    // Alone, a thread finds what it freed at once, and pages keep their class.
    private static nint[] AsOneThread(nuint size)
    {
        nint[] objects = AllocAll(size, Objects);
        for (int i = 0; i < 1000; i++)
        {
            void* freed = (void*)objects[^1];
            NativeAllocator.Free(freed);
            objects[^1] = (nint)NativeAllocator.Alloc(size);
            Require(objects[^1] == (nint)freed, $"a thread that is alone gets the {size} B that it freed last");
        }
        CheckPages(objects, side: false);
        FreeAll(objects);
        objects = AllocAll(size, Objects);
        CheckMembers(size, objects[0]);
        return objects;
    }

    // On a thread that did not allocate the object: it frees it, and then allocates and frees one by one, as a loop of
    // a worker does.
    private static void CheckNoLineComesBack(nuint size, void* foreign)
    {
        const int Rounds = 6400, FirstFew = 4;
        NativeAllocator.Free(foreign);
        int same = 0;
        for (int i = 0; i < Rounds; i++)
        {
            void* mine = NativeAllocator.Alloc(size);
            if (i >= FirstFew && ((nint)mine & ~63) == ((nint)foreign & ~63)) same++;
            NativeAllocator.Free(mine);
        }
        // One in 64 and no more; a line has up to four objects.
        Require(same <= Rounds / 64 * 4,
            $"the line of a foreign object of {size} B came back {same} times in {Rounds} rounds");
    }

    private static void CheckMembers(nuint size, nint each)
    {
        byte* block = (byte*)each;
        Require(NativeAllocator.UsableSize(block) == size, $"{size} B are usable");
        Require(NativeAllocator.Owns(block) && NativeAllocator.Owns(block + size - 1),
            $"an object of {size} B is owned");
        Require(NativeAllocator.Realloc(block, size) == block, $"an object of {size} B has its size already");
        try
        {
            NativeAllocator.UsableSize(block + 1);
        }
        catch (ArgumentException error)
        {
            Require(error.Message.Contains($"block of {size} bytes at 0x{(nuint)block:x}", StringComparison.Ordinal),
                error.Message);
            byte* grown = (byte*)NativeAllocator.Realloc(NativeAllocator.Alloc(size), 1000);
            Require(NativeAllocator.UsableSize(grown) >= 1000, "an object can grow out of its class");
            NativeAllocator.Free(grown);
            return;
        }
        Require(false, "an interior pointer is taken for an object");
    }

    private static void CheckPages(ReadOnlySpan<nint> objects, bool side)
    {
        foreach (nint each in objects)
        {
            int pageClass = LinearRegion.ClassOf(LinearRegion.PageIndexOf((void*)each)),
                index = CacheTable.IndexOfSide(pageClass);
            Require(index is > 0 and <= CacheTable.TinyClasses, $"a small object is of class {pageClass}");
            Require(pageClass == (side ? CacheTable.ReturnSideOf(index) : index),
                $"the page of an object of class {index} has the class byte {pageClass}");
        }
        NativeAllocator.Verify();
    }

    private static void CheckLive(AllocatorStatistics before, int perClass)
    {
        AllocatorStatistics now = NativeAllocator.GetStatistics();
        long bytes = 0;
        foreach (nuint size in s_sizes) bytes += (long)size * perClass;
        Require(now.LiveBlocks == before.LiveBlocks + perClass * s_sizes.Length,
            $"{now.LiveBlocks - before.LiveBlocks} blocks are live");
        Require((long)now.LiveBytes == (long)before.LiveBytes + bytes,
            $"{(long)now.LiveBytes - (long)before.LiveBytes} bytes are live instead of {bytes}");
    }

    private static nint[] AllocAll(nuint size, int count)
    {
        nint[] objects = new nint[count];
        HashSet<nint> distinct = [];
        for (int i = 0; i < count; i++)
        {
            objects[i] = (nint)NativeAllocator.Alloc(size);
            Require(distinct.Add(objects[i]), "an object was given twice");
        }
        return objects;
    }

    private static void FreeAll(ReadOnlySpan<nint> objects)
    {
        foreach (nint each in objects) NativeAllocator.Free((void*)each);
    }

    private static void Require(bool condition, string what)
    {
        if (!condition) throw new InvalidOperationException(what);
    }
}
