using System.Runtime.InteropServices;
using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that <c>Owns</c> knows the allocator's own memory from anybody else's, and bears any address at all.
/// </summary>
public sealed unsafe class OwnsTests : LeakCheckedTests
{
    [Fact]
    public void Every_byte_of_a_live_block_is_owned()
    {
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            nuint usable = NativeAllocator.UsableSize(block);
            nuint step = Math.Max(1, usable / 199);
            for (nuint offset = 0; offset < usable; offset += step)
                Assert.True(NativeAllocator.Owns(block + offset), $"byte {offset} of a block of {bytes} bytes");
            Assert.True(NativeAllocator.Owns(block + usable - 1));
            NativeAllocator.Free(block);
        }
    }

    [Fact]
    public void Every_byte_of_a_block_that_grew_in_place_is_owned()
    {
        using GrownBlock grown = new();
        for (nuint offset = 0; offset < grown.Bytes; offset += 4099)
            Assert.True(NativeAllocator.Owns(grown.Address + offset),
                $"byte {offset} of a block that grew to {grown.Bytes} bytes");
        Assert.True(NativeAllocator.Owns(grown.Address + grown.Bytes - 1));
        Assert.False(NativeAllocator.Owns(grown.Address + grown.Bytes));
    }

    [Fact]
    public void Large_and_huge_blocks_are_not_owned_once_they_are_freed()
    {
        NativeAllocator.ReleaseThreadCache();
        foreach (nuint bytes in Sizes.AcrossLayers)
        {
            if (bytes <= Sizes.LargestSlab) continue;
            byte* block = (byte*)NativeAllocator.Alloc(bytes);
            Assert.True(NativeAllocator.Owns(block));
            NativeAllocator.Free(block);
            Assert.False(NativeAllocator.Owns(block));
            Assert.False(NativeAllocator.Owns(block + bytes / 2));
        }
    }

    [Fact]
    public void Null_the_stack_and_the_memory_of_others_are_not_owned()
    {
        int local = 0;
        Assert.False(NativeAllocator.Owns(null));
        Assert.False(NativeAllocator.Owns(&local));
        byte[] managed = GC.AllocateArray<byte>(1000, pinned: true);
        fixed (byte* pointer = managed) Assert.False(NativeAllocator.Owns(pointer));
        foreach (nuint bytes in new nuint[] { 1, 5000, Sizes.MiB, 100 * Sizes.MiB })
        {
            void* foreign = NativeMemory.Alloc(bytes);
            Assert.False(NativeAllocator.Owns(foreign));
            NativeMemory.Free(foreign);
        }
    }

    [Fact]
    public void Any_address_at_all_can_be_asked_for()
    {
        byte* huge = (byte*)NativeAllocator.Alloc(100 * Sizes.MiB);
        nuint hugeEnd = (nuint)huge + 100 * Sizes.MiB;
        nuint[] edges = [0, (nuint)huge, hugeEnd, LinearRegion.Base, LinearRegion.Base + LinearRegion.Bytes,
            (nuint)1 << 47, unchecked((nuint)0xFFFF_8000_0000_0000), nuint.MaxValue];
        foreach (nuint edge in edges)
            for (nint near = -70_000; near <= 70_000; near += 7) Ask(unchecked(edge + (nuint)near));

        Random random = new(1);
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        for (int i = 0; i < 1_000_000; i++)
        {
            random.NextBytes(bytes);
            Ask((nuint)(MemoryMarshal.Read<ulong>(bytes) >> random.Next(64)));
        }
        for (int i = 0; i < 1_000_000; i++) Ask(LinearRegion.Base + (nuint)random.NextInt64((long)LinearRegion.Bytes));
        NativeAllocator.Free(huge);

        void Ask(nuint address)
        {
            bool mine = address >= (nuint)huge && address < hugeEnd;
            bool maybe = address >= LinearRegion.Base && address < LinearRegion.Base + LinearRegion.Bytes;
            bool owns = NativeAllocator.Owns((void*)address);
            if (mine) Assert.True(owns, $"0x{address:x} lies in the huge block");
            else if (owns) Assert.True(maybe, $"0x{address:x} is nobody's");
        }
    }
}
