using System.Globalization;
using NativeAlloc.Os;

namespace NativeAlloc.TestHost;

/// <summary>
/// A process with a resident limit: it allocates blocks of all sizes until it is told that there is no more, frees
/// some, goes on, and frees all of them, twice. Prints the most bytes it held, the limit hits, the bytes charged in the
/// end, and the first message.
/// </summary>
internal static unsafe class ResidentLimit
{
    internal const string Name = "resident-limit";

    internal static int Run()
    {
        List<(nint Block, int Bytes)> held = [];
        Random random = new(1);
        nuint live = 0, most = 0;
        string? told = null;
        for (int round = 0; round < 2; round++)
        {
            for (int refusals = 0; refusals < 20;)
            {
                int bytes = random.Next(10) switch
                {
                    0 => random.Next(1 << 20),
                    < 4 => random.Next(40_000),
                    _ => random.Next(1000)
                };
                try
                {
                    void* block = NativeAllocator.Alloc((nuint)bytes);
                    Pattern.Fill(block, (nuint)bytes, (ulong)bytes);
                    held.Add(((nint)block, bytes));
                    live += (nuint)bytes;
                    most = Math.Max(most, live);
                    if (live > ResidentBudget.LimitBytes) return Complain("more is held than the limit");
                }
                catch (OutOfMemoryException error)
                {
                    told ??= error.Message;
                    refusals++;
                    NativeAllocator.Verify();
                    for (int i = 0; i < 40 && held.Count != 0; i++) Free(random.Next(held.Count));
                }
            }
            while (held.Count != 0) Free(held.Count - 1);
        }
        NativeAllocator.Trim();
        NativeAllocator.Verify();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{most} {ResidentBudget.LimitHits} {ResidentBudget.ChargedBytes}"));
        Console.WriteLine(told);
        return 0;

        void Free(int index)
        {
            (nint block, int bytes) = held[index];
            held[index] = held[^1];
            held.RemoveAt(held.Count - 1);
            Pattern.Check((void*)block, (nuint)bytes, (ulong)bytes);
            NativeAllocator.Free((void*)block);
            live -= (nuint)bytes;
        }
    }

    private static int Complain(string reason)
    {
        Console.Error.WriteLine(reason);
        return 1;
    }
}
