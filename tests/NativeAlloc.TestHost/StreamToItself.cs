using System.Buffers;

namespace NativeAlloc.TestHost;

/// <summary>Writes streams to themselves, in each way that there is, so that they grow meanwhile.</summary>
internal static class StreamToItself
{
    internal const string Name = "stream-to-itself";

    internal static int Run()
    {
        foreach (int length in (int[])[300, 3000, 700_000, 3_000_000])
        {
            bool passed = Doubles(length, stream => stream.WriteTo(stream))
                && Doubles(length, stream => stream.Write(MemoryOf(stream).Span))
                && Doubles(length, stream => stream.WriteAsync(MemoryOf(stream)).AsTask().Wait())
                && Doubles(length, stream =>
                {
                    stream.Position = 0;
                    stream.CopyTo(stream);
                })
                && Doubles(length, stream =>
                {
                    stream.Position = 0;
                    stream.CopyToAsync(stream).Wait();
                });
            if (passed) continue;
            Console.Error.WriteLine($"a stream of {length} bytes that was written to itself has others");
            return 1;
        }
        return 0;
    }

    private static ReadOnlyMemory<byte> MemoryOf(NativeStream stream) => stream.GetReadOnlySequence().First;

    private static bool Doubles(int length, Action<NativeStream> write)
    {
        using NativeStream stream = new(length);
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        stream.Write(bytes);
        write(stream);
        return stream.Length == 2 * length
            && stream.GetReadOnlySequence().ToArray().AsSpan().SequenceEqual([.. bytes, .. bytes]);
    }
}
