using BenchmarkDotNet.Attributes;

namespace NativeAlloc.Benchmarks.Micro;

/// <summary>
/// A block grows from 16 bytes by half of its size at a time until it has reached a limit, as buffers do; then it is
/// freed. The time is that of the whole growth.
/// </summary>
public unsafe class GrowthBenchmarks : ArmBenchmarks
{
    [Params(1024, 65536, 1048576)]
    public int MaxSize { get; set; }

    private protected override void Run<TAllocator>()
    {
        nuint limit = (nuint)MaxSize;
        for (int i = 0; i < Repeats; i++)
        {
            nuint size = 16;
            void* block = TAllocator.Alloc(size);
            while (size < limit)
            {
                size = Math.Min(limit, size + (size / 2));
                block = TAllocator.Realloc(block, size);
                ((byte*)block)[size - 1] = 1;
            }

            TAllocator.Free(block);
        }
    }
}
