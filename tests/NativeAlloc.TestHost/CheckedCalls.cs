namespace NativeAlloc.TestHost;

/// <summary>
/// What members promise in check mode as by default: that nothing is thrown where the name begins with Try, and the
/// alignment, also of a block that another class has made.
/// </summary>
internal static unsafe class CheckedCalls
{
    internal const string Name = "checked-calls";

    private const nuint Alignment = 16 << 20, UnevenBytes = 40_001;

    private static readonly nuint s_impossible = (nuint)1 << 60; // no system has so much

    internal static int Run()
    {
        Environment.SetEnvironmentVariable("NATIVEALLOC_CHECK", "1");
        nint[] blocks = [(nint)Vmalloc.Alloc(1), (nint)Vmalloc.Alloc(3 << 20), (nint)NativeAllocator.Alloc(100)];
        foreach (nint block in blocks)
        {
            void* pointer = (void*)block;
            *(byte*)pointer = 1;
            if (NativeAllocator.TryRealloc(ref pointer, s_impossible) || pointer != (void*)block)
                return ProcessLimit.Complain("TryRealloc gave what no system has");
            pointer = NativeAllocator.AlignedRealloc(pointer, 100, Alignment);
            if ((nuint)pointer % Alignment != 0) return ProcessLimit.Complain($"0x{(nuint)pointer:x} is not aligned");
            if (*(byte*)pointer != 1) return ProcessLimit.Complain("the contents are lost");
            if (!NativeAllocator.TryRealloc(ref pointer, 5 << 20)) return ProcessLimit.Complain("it cannot grow");
            NativeAllocator.Free(pointer);
        }
        void* area = Vmalloc.Realloc(Vmalloc.Alloc(1), 3 << 20);
        if ((nuint)area % (2 << 20) != 0) return ProcessLimit.Complain($"0x{(nuint)area:x} is no address of an area");
        Vmalloc.Free(area);
        // The red zone begins behind what was asked for.
        NativeAllocator.TryAlignedAlloc(UnevenBytes, 4096, out void* tried);
        void* plain = NativeAllocator.AlignedAlloc(UnevenBytes, 4096);
        if (NativeAllocator.UsableSize(tried) != UnevenBytes || NativeAllocator.UsableSize(plain) != UnevenBytes)
            return ProcessLimit.Complain("a block is larger than what was asked for");
        NativeAllocator.Free(tried);
        NativeAllocator.Free(plain);
        NativeAllocator.Check();
        return 0;
    }
}
