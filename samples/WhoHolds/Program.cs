using System.Globalization;
using System.Runtime.CompilerServices;
using NativeAlloc;

namespace WhoHolds;

/// <summary>
/// A service that makes thumbnails, and holds more and more native memory: the example of docs/guide/who-holds.md. It
/// runs for as many seconds as it is told, or until a key is pressed.
/// </summary>
internal static class Program
{
    private const int RequestsPerSecond = 200;

    private static void Main(string[] args)
    {
        double seconds = args.Length > 0 ? double.Parse(args[0], CultureInfo.InvariantCulture) : double.MaxValue;
        Console.WriteLine($"process {Environment.ProcessId}");
        ThumbnailCache cache = new();
        PreviewStore previews = new();
        long end = Environment.TickCount64 + (long)Math.Min(seconds * 1000, long.MaxValue / 2);
        for (int request = 0; Environment.TickCount64 < end; request++)
        {
            Serve(request, cache, previews);
            Thread.Sleep(1000 / RequestsPerSecond);
        }
        Console.WriteLine($"{NativeAllocator.GetStatistics().LiveBytes >> 20} MiB are live");
    }

    private static void Serve(int request, ThumbnailCache cache, PreviewStore previews)
    {
        using Picture picture = Decoder.Decode(request);
        cache.Add(request, picture);
        if (request % 10 == 0) previews.Add(request, picture);
    }
}

/// <summary>Pixels in native memory, four bytes each.</summary>
internal sealed unsafe class Picture(int width, int height) : IDisposable
{
    private byte* _pixels = (byte*)NativeAllocator.AllocZeroed((nuint)width * (nuint)height * 4);

    public Picture Scale(int size)
    {
        Picture scaled = new(size, size);
        for (int i = 0; i < size * size * 4; i++) scaled._pixels[i] = _pixels[i % (width * height * 4)];
        return scaled;
    }

    public void Dispose()
    {
        NativeAllocator.Free(_pixels);
        _pixels = null;
    }
}

/// <summary>Makes pictures out of files; here it makes them up.</summary>
internal static class Decoder
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static Picture Decode(int file) => new(640 + file % 7 * 32, 480);
}

/// <summary>Has the last thumbnails.</summary>
internal sealed class ThumbnailCache
{
    private const int Most = 500;

    private readonly Queue<(int Request, Picture Thumbnail)> _thumbnails = new();

    [MethodImpl(MethodImplOptions.NoInlining)] // a level of its own in a stack, as larger methods are
    public void Add(int request, Picture picture)
    {
        _thumbnails.Enqueue((request, picture.Scale(64)));
        if (_thumbnails.Count > Most) _thumbnails.Dequeue().Thumbnail.Dispose();
    }
}

/// <summary>Has the last previews. It forgets to free those that it drops.</summary>
internal sealed class PreviewStore
{
    private const int Most = 20;

    private readonly Queue<(int Request, Picture Preview)> _previews = new();

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Add(int request, Picture picture)
    {
        _previews.Enqueue((request, picture.Scale(256)));
        if (_previews.Count > Most) _previews.Dequeue(); // here Dispose is missing
    }
}
