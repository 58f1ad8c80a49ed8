using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Proves that the callbacks do what C's functions do, that no exception leaves them, and that threads of the C library
/// leave nothing behind.
/// </summary>
public sealed unsafe class NativeCallbacksTests : LeakCheckedTests
{
    [Fact]
    public void They_do_what_the_functions_of_C_do()
    {
        foreach (nuint bytes in Sizes.AcrossLayers.Where(bytes => bytes <= 10 * Sizes.MiB))
        {
            void* block = NativeCallbacks.Malloc(bytes);
            Assert.Equal((nuint)0, (nuint)block % 16);
            Pattern.Fill(block, bytes, bytes);
            Assert.True(NativeCallbacks.UsableSize(block) >= bytes);
            block = NativeCallbacks.Realloc(block, bytes * 2 + 1);
            Pattern.Check(block, bytes, bytes);
            NativeCallbacks.Free(block);
            void* zeroed = NativeCallbacks.Calloc(bytes, 1);
            Pattern.CheckZero(zeroed, bytes);
            NativeCallbacks.Free(zeroed);
            void* aligned = NativeCallbacks.AlignedAlloc(4096, bytes);
            Assert.Equal((nuint)0, (nuint)aligned % 4096);
            NativeAllocator.Free(aligned); // the two are one
        }
        void* fromNull = NativeCallbacks.Realloc(null, 100);
        fromNull = NativeCallbacks.Realloc(fromNull, 0);
        Assert.True(fromNull != null);
        NativeCallbacks.Free(fromNull);
        NativeCallbacks.Free(null);
        Assert.Equal((nuint)0, NativeCallbacks.UsableSize(null));
    }

    [Fact]
    public void Where_there_is_no_memory_they_return_null_and_the_block_stands()
    {
        void* block = NativeCallbacks.Malloc(100);
        Pattern.Fill(block, 100, 1);
        foreach (nuint bytes in Sizes.Impossible)
        {
            Assert.True(NativeCallbacks.Malloc(bytes) == null);
            Assert.True(NativeCallbacks.Calloc(bytes, 1) == null);
            Assert.True(NativeCallbacks.Calloc(3, bytes) == null);
            Assert.True(NativeCallbacks.AlignedAlloc(64, bytes) == null);
            Assert.True(NativeCallbacks.Realloc(block, bytes) == null);
        }
        Assert.True(NativeCallbacks.Calloc((nuint)1 << 32, (nuint)1 << 32) == null);
        foreach (nuint alignment in (nuint[])[0, 3, 24])
            Assert.True(NativeCallbacks.AlignedAlloc(alignment, 10) == null);
        Pattern.Check(block, 100, 1);
        NativeCallbacks.Free(block);
    }

    [Fact]
    public void They_allocate_nothing_on_the_managed_heap()
    {
        Churn();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Churn();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        static void Churn()
        {
            for (nuint bytes = 1; bytes < 3 * Sizes.MiB; bytes = bytes * 3 + 1)
            {
                void* block = NativeCallbacks.Realloc(NativeCallbacks.Malloc(bytes), bytes * 2);
                NativeCallbacks.Free(block);
                NativeCallbacks.Free(NativeCallbacks.Calloc(1, bytes));
                NativeCallbacks.Free(NativeCallbacks.AlignedAlloc(128, bytes));
            }
            NativeCallbacks.Malloc(nuint.MaxValue);
        }
    }

    [Fact]
    public void Threads_of_the_C_library_leave_nothing_and_it_may_free_after_the_end()
    {
        SystemNeeds.Linux("pthread_create");
        Assert.Equal("ok", ChildProcess.RunHost(ForeignThreads.Name).ShouldSucceed().Output.Trim());
    }

    [Theory]
    [InlineData("free")]
    [InlineData("realloc")]
    [InlineData("malloc_usable_size")]
    public void A_pointer_that_is_no_block_ends_the_process_with_a_message_that_the_handler_gets(string function)
    {
        ChildProcess child = ChildProcess.RunHost(BadCallback.Name, function);
        Assert.NotEqual(0, child.ExitCode);
        string message = $"NativeAlloc: a native library called {function} wrongly. The pointer 0x";
        Assert.Contains("handler: " + message, child.Errors, StringComparison.Ordinal);
        Assert.Contains("Process terminated", child.Errors, StringComparison.Ordinal);
    }
}
