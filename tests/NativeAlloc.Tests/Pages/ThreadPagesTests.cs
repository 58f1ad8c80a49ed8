using NativeAlloc.Pages;
using NativeAlloc.Threads;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>Shows where a thread's lists are, who may use them, and what they count.</summary>
public sealed unsafe class ThreadPagesTests
{
    [Fact]
    public void A_thread_block_has_its_lists_in_its_part_and_no_block_has_none()
    {
        byte* block = stackalloc byte[ThreadBlock.Bytes];
        Assert.True((byte*)ThreadPages.Of(block) == block + ThreadBlock.PagesOffset);
        Assert.True(ThreadPages.Of(null) == null);
    }
}
