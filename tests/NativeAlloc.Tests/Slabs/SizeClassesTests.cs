using System.Numerics;
using NativeAlloc.Pages;
using NativeAlloc.Slabs;
using Xunit;

namespace NativeAlloc.Tests.Slabs;

/// <summary>Shows, for every size there is, that its class is large enough, close enough and aligned enough.</summary>
public sealed class SizeClassesTests
{
    // Loops over half a million sizes compare first and assert only what failed.
    [Fact]
    public void Every_size_has_the_smallest_class_that_holds_it()
    {
        for (nuint bytes = 0; bytes <= SizeClasses.LargestBytes; bytes++)
        {
            int sizeClass = SizeClasses.Of(bytes);
            if (sizeClass is < 1 or >= SizeClasses.Count) Assert.Fail($"{bytes} B has class {sizeClass}");
            if (SizeClasses.BytesOf(sizeClass) < bytes) Assert.Fail($"{bytes} B do not fit class {sizeClass}");
            if (sizeClass > 1 && SizeClasses.BytesOf(sizeClass - 1) >= bytes)
                Assert.Fail($"{bytes} B fit the class before {sizeClass}");
        }
    }

    [Fact]
    public void No_size_wastes_more_than_an_eighth_above_128_bytes_or_a_granule_below()
    {
        for (nuint bytes = 1; bytes <= SizeClasses.LargestBytes; bytes++)
        {
            nuint waste = SizeClasses.BytesOf(SizeClasses.Of(bytes)) - bytes;
            if (bytes > 128 ? waste * 8 > bytes : waste >= SizeClasses.Granule)
                Assert.Fail($"{bytes} B waste {waste} B");
        }
    }

    [Fact]
    public void Classes_ascend_in_multiples_of_a_granule_to_the_largest()
    {
        for (int sizeClass = 1; sizeClass < SizeClasses.Count; sizeClass++)
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            Assert.Equal(0u, bytes % SizeClasses.Granule);
            Assert.Equal(sizeClass, SizeClasses.Of(bytes));
            if (sizeClass > 1) Assert.True(bytes > SizeClasses.BytesOf(sizeClass - 1));
        }
        Assert.Equal(16u, SizeClasses.BytesOf(1));
        Assert.Equal(SizeClasses.LargestBytes, SizeClasses.BytesOf(SizeClasses.Count - 1));
        Assert.Equal(512u * 1024, SizeClasses.LargestBytes);
    }

    [Fact]
    public void The_table_agrees_with_the_arithmetic()
    {
        Assert.Equal(1024u, SizeClasses.TableBytes);
        Assert.Equal(32_768u, SizeClasses.MagazineBytes);
        for (nuint bytes = 0; bytes <= SizeClasses.TableBytes; bytes++)
            if ((int)SizeClasses.OfSmall(bytes) != SizeClasses.Of(bytes))
                Assert.Fail($"{bytes} B: the table says {SizeClasses.OfSmall(bytes)}");
    }

    [Fact]
    public void The_class_of_a_multiple_of_an_alignment_is_itself_one()
    {
        for (nuint alignment = 1; alignment <= SizeClasses.LargestBytes; alignment *= 2)
        {
            // All multiples there are: a size is rounded up to one of them.
            for (nuint rounded = alignment; rounded <= SizeClasses.LargestBytes; rounded += alignment)
                if (SizeClasses.BytesOf(SizeClasses.Of(rounded)) % alignment != 0)
                    Assert.Fail($"the class of {rounded} B is no multiple of {alignment}");
        }
    }

    [Fact]
    public void A_slab_holds_an_object_loses_little_and_is_the_smallest_that_does()
    {
        for (int sizeClass = 1; sizeClass < SizeClasses.Count; sizeClass++)
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            uint pages = SizeClasses.SlabPagesOf(bytes);
            Assert.InRange(pages, 1u, 15u); // below 2^20 bytes: an offset can be divided by multiplication
            Assert.True(Fits(bytes, pages), $"a slab of {bytes} B objects has {pages} pages");
            for (uint fewer = 1; fewer < pages; fewer++) Assert.False(Fits(bytes, fewer),
                $"a slab of {bytes} B objects could have {fewer} pages instead of {pages}");
            nuint objects = pages * PageGeometry.PageBytes / bytes;
            Assert.True(objects <= LinearRegion.BitmapWords * 64, $"{objects} objects of {bytes} B have no bits");
            if (bytes % PageGeometry.PageBytes == 0) Assert.Equal(1u, objects);
        }

        static bool Fits(nuint bytes, uint pages)
        {
            nuint slabBytes = pages * PageGeometry.PageBytes;
            return slabBytes / bytes >= 1 && slabBytes % bytes * 8 <= slabBytes
                && !IsWasteful(bytes, slabBytes, SizeClasses.LeastRequestOf(bytes));
        }
    }

    [Fact]
    public void Of_the_memory_of_any_size_from_128_bytes_on_an_eighth_at_most_was_not_asked_for()
    {
        for (nuint bytes = 128; bytes <= SizeClasses.LargestBytes; bytes++)
        {
            nuint objectBytes = SizeClasses.BytesOf(SizeClasses.Of(bytes));
            if (IsWasteful(objectBytes, SizeClasses.SlabPagesOf(objectBytes) * PageGeometry.PageBytes, bytes))
                Assert.Fail($"blocks of {bytes} B waste more");
        }
        // Beyond, blocks are whole pages of 64 KiB.
        for (nuint bytes = SizeClasses.LargestBytes + 1; bytes <= 4 << 20; bytes += 511)
        {
            nuint kept = (bytes + (PageGeometry.PageBytes - 1)) & ~(PageGeometry.PageBytes - 1);
            if ((kept - bytes) * 8 > kept) Assert.Fail($"{kept} B for {bytes} B");
        }
    }

    // A slab full of blocks of so many bytes: of the system pages that they lie in.
    private static bool IsWasteful(nuint objectBytes, nuint slabBytes, nuint bytes)
    {
        nuint objects = slabBytes / objectBytes, touched = SizeClasses.TouchedBytes(objects * objectBytes);
        return (touched - objects * bytes) * 8 > touched;
    }

    [Fact]
    public void An_object_of_a_slab_has_every_alignment_that_its_size_has()
    {
        for (int sizeClass = 1; sizeClass < SizeClasses.Count; sizeClass++)
        {
            nuint bytes = SizeClasses.BytesOf(sizeClass);
            nuint alignment = (nuint)1 << BitOperations.TrailingZeroCount(bytes);
            // slabs begin at a multiple of their order
            Assert.Equal(0u,
                (PageGeometry.PageBytes << PageGeometry.OrderOf(SizeClasses.SlabPagesOf(bytes))) % alignment);
        }
    }
}
