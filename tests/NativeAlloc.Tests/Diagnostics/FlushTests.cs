using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>Proves that a stream that was written to is flushed when the call is over, and stays open.</summary>
public sealed class FlushTests : LeakCheckedTests
{
    public static TheoryData<string> Writers => ["json", "pprof", "speedscope"];

    [Theory]
    [MemberData(nameof(Writers))]
    public void A_writer_flushes_its_stream_at_the_end_and_leaves_it_open(string writer)
    {
        using CountingStream stream = new();
        switch (writer)
        {
            case "json": AllocatorReport.WriteJson(stream); break;
            case "pprof": AllocationProfiler.WritePprof(stream); break;
            default: AllocationProfiler.WriteSpeedscope(stream); break;
        }
        Assert.NotEqual(0, stream.Length);
        Assert.Equal(0, stream.UnflushedBytes);
        Assert.True(stream.CanWrite);
    }

    private sealed class CountingStream : MemoryStream
    {
        private long _flushed;

        internal long UnflushedBytes => Length - _flushed;

        public override void Flush() => _flushed = Length;
    }
}
