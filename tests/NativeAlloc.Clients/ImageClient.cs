using System.Buffers;
using System.Runtime.CompilerServices;
using SixLabors.ImageSharp;
using SixLabors.ImageSharp.Memory;
using SixLabors.ImageSharp.PixelFormats;
using SixLabors.ImageSharp.Processing;

namespace NativeAlloc.Clients;

/// <summary>ImageSharp, whose configuration takes a <see cref="MemoryAllocator"/>.</summary>
internal static class ImageClient
{
    internal static void Run(bool native, int scale)
    {
        Configuration configuration = Configuration.Default.Clone();
        if (native) configuration.MemoryAllocator = new Allocator();
        for (int round = 0; round < 4 * scale; round++)
        {
            using Image<Rgba32> image = new(configuration, 1200, 900, new Rgba32(10, 20, 30));
            for (int i = 0; i < 900; i++) image[i, i] = new Rgba32((byte)(i % 256), 200, 100);
            image.Mutate(context => context.Resize(600, 450).GaussianBlur(2).Rotate(90));
            using NativeStream stream = new();
            image.SaveAsPng(stream);
            stream.Position = 0;
            using Image<Rgba32> back = Image.Load<Rgba32>(configuration, stream);
            Program.Check(back.Width == 450 && back.Height == 600, "the image has another size");
            Program.Check(back[200, 300] == image[200, 300], "the image has other pixels");
        }
        if (native) Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "ImageSharp left blocks");
    }

    private sealed class Allocator : MemoryAllocator
    {
        protected override int GetBufferCapacityInBytes() => int.MaxValue;

        public override IMemoryOwner<T> Allocate<T>(int length, AllocationOptions options = AllocationOptions.None) =>
            new Owner<T>(length, options == AllocationOptions.Clean);
    }

    // ImageSharp asks for any value type, and its own are all without references.
    private sealed unsafe class Owner<T>(int length, bool clean) : MemoryManager<T>
        where T : struct
    {
        private readonly NativeBuffer<byte> _bytes = new(checked(length * Unsafe.SizeOf<T>()), clean);

        public override Span<T> GetSpan() => new(_bytes.Pointer, length);

        public override MemoryHandle Pin(int elementIndex = 0) => _bytes.Pin(elementIndex * Unsafe.SizeOf<T>());

        public override void Unpin() => _bytes.Unpin();

        protected override void Dispose(bool disposing) => _bytes.Dispose();
    }
}
