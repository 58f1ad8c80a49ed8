using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// What an allocator must look like from outside: the live blocks with their addresses, sizes and contents. It does
/// each step with the real one and throws where the two differ.
/// </summary>
internal sealed unsafe class AllocatorModel : IDisposable
{
    // Live at one time, so that a sequence of large blocks does not fill the machine.
    private const nuint MostLiveBytes = 320 * Sizes.MiB;

    private readonly List<Block> _blocks = [];
    private readonly SortedList<nuint, nuint> _endsByStart = [];
    private readonly TestThread[] _threads = new TestThread[AllocatorStep.Threads];
    private nuint _liveBytes;
    private ulong _lastId;

    internal AllocatorModel()
    {
        for (int i = 0; i < _threads.Length; i++) _threads[i] = new TestThread();
    }

    /// <summary>Does a step, on its thread.</summary>
    internal void Do(AllocatorStep step)
    {
        if (step.Kind == StepKind.EndThread)
        {
            _threads[step.Thread].Dispose();
            _threads[step.Thread] = new TestThread();
            return;
        }
        _threads[step.Thread].Run(() => DoHere(step));
    }

    /// <summary>Checks the contents of all blocks.</summary>
    internal void CheckAll()
    {
        foreach (Block block in _blocks) Check(block);
    }

    /// <summary>Checks and frees all blocks, each on the next thread.</summary>
    internal void FreeAll()
    {
        while (_blocks.Count != 0)
            _threads[_blocks.Count % _threads.Length].Run(() => FreeMany(_blocks.Count - 1, 1 + _blocks.Count / 3));
    }

    public void Dispose()
    {
        // After a failure too, as good as may be: the allocator is the whole process's.
        foreach (Block block in _blocks) NativeAllocator.Free((void*)block.Address);
        foreach (TestThread thread in _threads) thread.Dispose();
    }

    private void DoHere(AllocatorStep step)
    {
        bool allocates =
            step.Kind is StepKind.Alloc or StepKind.AllocZeroed or StepKind.AlignedAlloc or StepKind.TryAlloc;
        if (allocates && _liveBytes + step.Bytes > MostLiveBytes) FreeMany(0, 1 + _blocks.Count / 2);
        switch (step.Kind)
        {
            case StepKind.Alloc: Add(NativeAllocator.Alloc(step.Bytes), step.Bytes, 16, zeroed: false); break;
            case StepKind.AllocZeroed:
                Add(NativeAllocator.AllocZeroed(step.Bytes), step.Bytes, 16, zeroed: true); break;
            case StepKind.AlignedAlloc:
                Add(NativeAllocator.AlignedAlloc(step.Bytes, step.Alignment), step.Bytes, step.Alignment,
                    zeroed: false); break;
            case StepKind.TryAlloc:
                Require(NativeAllocator.TryAlloc(step.Bytes, out void* tried), $"TryAlloc has no {step.Bytes} bytes");
                Add(tried, step.Bytes, 16, zeroed: false);
                break;
            case StepKind.Realloc: Resize(step, 16); break;
            case StepKind.AlignedRealloc: Resize(step, step.Alignment); break;
            case StepKind.Free: FreeMany(step.Pick, 1); break;
            case StepKind.AllocMany:
                for (int i = 0; i < step.Count; i++)
                    Add(NativeAllocator.Alloc(step.Bytes), step.Bytes, 16, zeroed: false);
                break;
            case StepKind.FreeMany: FreeMany(step.Pick, step.Count); break;
            case StepKind.Trim: NativeAllocator.Trim(); break;
            case StepKind.ReleaseThreadCache: NativeAllocator.ReleaseThreadCache(); break;
            default: throw new InvalidOperationException($"{step.Kind} is not known here");
        }
    }

    private void Resize(AllocatorStep step, nuint alignment)
    {
        if (_blocks.Count == 0)
        {
            Add(NativeAllocator.AlignedRealloc(null, step.Bytes, alignment), step.Bytes, alignment, zeroed: false);
            return;
        }
        int index = step.Pick % _blocks.Count;
        Block old = _blocks[index];
        if (_liveBytes + step.Bytes > MostLiveBytes) return;
        Check(old);
        Remove(index);
        void* resized = alignment == 16 && step.Kind == StepKind.Realloc
            ? NativeAllocator.Realloc((void*)old.Address, step.Bytes)
            : NativeAllocator.AlignedRealloc((void*)old.Address, step.Bytes, alignment);
        nuint kept = Math.Min(old.Bytes, Math.Max(step.Bytes, 1));
        if (old.Bytes <= PagePattern.FilledBytes) Pattern.Check(resized, kept, old.Id);
        else PagePattern.CheckPages(resized, kept, old.Id);
        Add(resized, step.Bytes, alignment, zeroed: false);
    }

    private void FreeMany(int pick, int count)
    {
        for (int i = 0; i < count && _blocks.Count != 0; i++)
        {
            int index = pick % _blocks.Count;
            Block block = _blocks[index];
            Check(block);
            Remove(index);
            NativeAllocator.Free((void*)block.Address);
        }
    }

    // A block that has just come from the allocator: it must overlap with none, and is then filled to its last usable
    // byte, a large one at the ends of its pages.
    private void Add(void* pointer, nuint bytes, nuint alignment, bool zeroed)
    {
        nuint start = (nuint)pointer, usable = NativeAllocator.UsableSize(pointer), end = start + usable;
        Block block = new((nint)start, usable, ++_lastId);
        _blocks.Add(block);
        _liveBytes += usable;
        Require(start != 0, "the block is null");
        Require(start % Math.Max(alignment, 16) == 0, $"0x{start:x} is not at a multiple of {alignment}");
        Require(usable >= bytes, $"of {bytes} bytes {usable} can be used");
        Require(NativeAllocator.Owns(pointer) && NativeAllocator.Owns((byte*)pointer + usable - 1),
            $"the block at 0x{start:x} is not owned");
        int next = FirstAtOrAbove(start);
        if (next < _endsByStart.Count) Require(end <= _endsByStart.GetKeyAtIndex(next),
            $"the block 0x{start:x}..0x{end:x} overlaps with the one at 0x{Key(next):x}");
        if (next > 0) Require(_endsByStart.GetValueAtIndex(next - 1) <= start,
            $"the block 0x{start:x}..0x{end:x} overlaps with the one at 0x{Key(next - 1):x}");
        _endsByStart.Add(start, end);
        if (zeroed) Pattern.CheckZero(pointer, bytes);
        PagePattern.Fill(pointer, usable, block.Id);

        nuint Key(int index) => _endsByStart.GetKeyAtIndex(index);
    }

    private void Remove(int index)
    {
        Block block = _blocks[index];
        _blocks[index] = _blocks[^1];
        _blocks.RemoveAt(_blocks.Count - 1);
        _endsByStart.Remove((nuint)block.Address);
        _liveBytes -= block.Bytes;
    }

    private int FirstAtOrAbove(nuint address)
    {
        int low = 0, high = _endsByStart.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_endsByStart.GetKeyAtIndex(middle) < address) low = middle + 1;
            else high = middle;
        }
        return low;
    }

    private static void Check(Block block) => PagePattern.Check((void*)block.Address, block.Bytes, block.Id);

    private static void Require(bool condition, string otherwise)
    {
        if (!condition) throw new InvalidOperationException(otherwise);
    }

    private readonly record struct Block(nint Address, nuint Bytes, ulong Id);
}
