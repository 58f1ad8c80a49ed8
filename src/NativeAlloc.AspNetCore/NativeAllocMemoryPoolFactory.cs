using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace NativeAlloc.AspNetCore;

/// <summary>Makes pools for the server: each of them takes its memory from the one allocator.</summary>
internal sealed class NativeAllocMemoryPoolFactory : IMemoryPoolFactory<byte>
{
    /// <summary>A pool of its own for each that asks, as the server disposes of them.</summary>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new NativeMemoryPool<byte>();
}
