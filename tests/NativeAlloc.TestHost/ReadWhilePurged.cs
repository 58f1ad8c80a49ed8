using NativeAlloc.Os;
using NativeAlloc.Pages;
using NativeAlloc.Release;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// Linux as a system that charges commit, where what is purged cannot be read any more. While a thread reads the
/// magazines of others nothing is purged; afterwards it is.
/// </summary>
internal static unsafe class ReadWhilePurged
{
    internal const string Name = "read-while-purged";

    private const int Blocks = 200, BlockBytes = 100_000;

    internal static int Run()
    {
        AppContext.SetSwitch(Platform.AsOthersSwitch, true);
        nint[] blocks = new nint[Blocks];
        for (int i = 0; i < Blocks; i++)
        {
            blocks[i] = (nint)NativeAllocator.Alloc(BlockBytes);
            new Span<byte>((void*)blocks[i], BlockBytes).Fill(7);
        }
        Decay.Configure(Decay.Never, PageLayer.CapPages); // nothing goes back by itself, however long this takes
        foreach (nint block in blocks) NativeAllocator.Free((void*)block);
        ForeignReads.Begin();
        nuint meanwhile = NativeAllocator.Trim();
        int sum = 0;
        foreach (nint block in blocks) sum += *(byte*)block;
        ForeignReads.End();
        if (meanwhile != 0 || sum != 7 * Blocks) return Complain($"{meanwhile} bytes went back under a reader");
        return NativeAllocator.Trim() < Blocks / 2 * BlockBytes ? Complain("too little went back afterwards") : 0;
    }
}
