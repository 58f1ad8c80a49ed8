using System.Buffers;
using NativeAlloc.Os;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.SystemTests;

/// <summary>
/// Proves that any system call may fail while heaps, arenas with marks, rings, and the shapes of .NET's own types are
/// at work: each call ends as documented, what was written is there still, and afterwards nothing is lost. The first
/// call of a kind is made to fail, then the second, and so on; each alone, and each with all that follow.
/// </summary>
[Trait("Category", "Slow")]
public sealed unsafe class ShapeFaultTests : LeakCheckedTests
{
    private const string Any = "any";

    /// <summary>The kinds of call, and both ways of failing.</summary>
    public static MatrixTheoryData<string, bool> Faults => new([Any, .. Enum.GetNames<OsCall>()], [false, true]);

    [Theory]
    [MemberData(nameof(Faults))]
    public void A_system_call_that_fails_does_no_harm(string kindName, bool andAllLater)
    {
        OsCall? kind = kindName == Any ? null : Enum.Parse<OsCall>(kindName);
        (int calls, int failures) = FaultRuns.FailEach(
            kind,
            andAllLater,
            _ =>
            {
                NativeAllocator.Trim(); // so that what a run before left does not serve this one
                return new Scenario();
            },
            check: () => { });
        // Otherwise this would prove nothing.
        if (kind is null or OsCall.Commit or OsCall.Purge) Assert.True(calls > 0, $"the scenario makes no {kindName}");
        if (kind is null && andAllLater) Assert.True(failures > 0, "no step felt it");
    }

    private sealed class Scenario : FaultScenario, IDisposable
    {
        private const int Huge = 3 << 20;

        private readonly List<IDisposable> _made = [];
        private readonly List<(nint Address, nuint Bytes, ulong Id)> _ofHeap = [];
        private NativeHeap? _heap;
        private NativeStream? _stream;
        private int _written;

        internal override void Run()
        {
            UseHeap();
            UseArena();
            UseRing();
            UseBuffers();
            UseStream();
            CheckAll();
            NativeAllocator.Trim();
            UseHeap();
            UseRing();
            UseBuffers();
        }

        internal override void CheckAll()
        {
            foreach ((nint address, nuint bytes, ulong id) in _ofHeap) Pattern.Check((void*)address, bytes, id);
            if (_stream == null) return;
            Assert.Equal(_written, _stream.Length);
            _stream.Position = 0;
            Span<byte> piece = new byte[1000];
            for (int at = 0; at < _written; at += piece.Length)
            {
                Assert.Equal(piece.Length, _stream.Read(piece));
                Assert.False(piece.ContainsAnyExcept((byte)(at / piece.Length)));
            }
        }

        internal override void FreeAll()
        {
            foreach (IDisposable made in _made) made.Dispose();
            _made.Clear();
            _ofHeap.Clear();
            _heap?.Dispose();
            _stream?.Dispose();
            (_heap, _stream) = (null, null);
        }

        public void Dispose() => FreeAll();

        private void UseHeap()
        {
            if (_heap == null && !Try(() => _heap = new NativeHeap("faults"))) return;
            for (nuint bytes = 1; bytes <= Huge; bytes = bytes * 5 / 2 + 7)
            {
                Try(() =>
                {
                    _ofHeap.Add(((nint)_heap!.Alloc(bytes), bytes, NextId()));
                    Pattern.Fill((void*)_ofHeap[^1].Address, bytes, _ofHeap[^1].Id);
                });
                if (_heap!.TryAlloc(bytes, out void* block)) _heap.Free(block);
            }
            for (int i = 0; i < _ofHeap.Count; i += 3)
            {
                (nint address, nuint bytes, ulong id) = _ofHeap[i];
                Try(() => _ofHeap[i] = ((nint)_heap!.Realloc((void*)address, bytes * 2), bytes, id));
            }
            foreach ((nint address, nuint bytes, ulong id) in _ofHeap) Pattern.Check((void*)address, bytes, id);
            if (_ofHeap.Count < 10) return;
            _heap!.Reset();
            _ofHeap.Clear();
        }

        private void UseArena()
        {
            NativeArena? arena = null;
            if (!Try(() => arena = new NativeArena(100_000, shared: true))) return;
            using (arena)
            {
                void* first = null;
                bool taken = Try(() => first = arena!.Alloc(500));
                if (taken) Pattern.Fill(first, 500, 1);
                Mark mark = arena!.Mark();
                for (nuint bytes = 100; bytes <= Huge; bytes *= 4)
                    Try(() => Pattern.Fill(arena.Alloc(bytes), bytes, 2));
                arena.Rewind(mark);
                for (nuint bytes = 100; bytes <= Huge; bytes *= 9)
                    Try(() => Pattern.Fill(arena.Alloc(bytes), bytes, 3));
                if (taken) Pattern.Check(first, 500, 1);
            }
        }

        private void UseRing()
        {
            MirroredBuffer? ring = null;
            if (!Try(() => ring = new MirroredBuffer(300_000))) return;
            _made.Add(ring!);
            ring!.GetSpan(ring.Length - 100, 200).Fill(0x77);
            Assert.Equal(0x77, ring.Pointer[0]);
            Assert.Equal(0x77, ring.Pointer[ring.Length - 1]);
        }

        private void UseBuffers()
        {
            Try(() => _made.Add(new NativeBuffer<long>(Huge / sizeof(long), zeroed: true)));
            Try(() => _made.Add(new NativeMemoryHandle(70_000, zeroed: true)));
            Try(() => _made.Add(NativeMemoryPool<byte>.Shared.Rent(200_000)));
            using (NativeBufferWriter<int> writer = new())
            {
                int written = 0;
                for (int length = 1; length < Huge; length *= 8)
                {
                    int[] numbers = [.. Enumerable.Repeat(written, Math.Min(length, 1000))];
                    if (!Try(() => _ = writer.GetSpan(length).Length)) continue;
                    writer.Write(numbers);
                    written += numbers.Length;
                }
                Assert.Equal(written, writer.WrittenCount);
                for (int at = 0; at < written; at++) Assert.True(writer.WrittenSpan[at] <= at);
            }
        }

        // Of so many bytes, each thousand its own number.
        private void UseStream()
        {
            if (!Try(() => _stream = new NativeStream())) return;
            byte[] piece = new byte[1000];
            for (; _written < 256_000; _written += piece.Length)
            {
                piece.AsSpan().Fill((byte)(_written / piece.Length));
                if (!Try(() => _stream!.Write(piece))) return;
            }
        }
    }
}
