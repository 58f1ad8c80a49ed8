using NativeAlloc.High;
using NativeAlloc.Mapping;
using NativeAlloc.TestHost;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Api;

/// <summary>
/// Compares persistent maps, fixed maps and maps of the vmalloc space with a model in which a page is a number: what is
/// written through one window is read through every other, whatever is mapped, unmapped, freed and taken again in
/// between.
/// </summary>
public sealed unsafe class WindowModelTests : LeakCheckedTests
{
    [Fact]
    public void What_is_written_through_one_window_is_read_through_all_others()
    {
        Values<(int What, int Which)> operation =
            Values.Pairs(Values.Between(0, (int)Operation.Last), Values.Between(0, 999));
        Properties.ForAllSequences(operation, 150, operations =>
        {
            using Model model = new();
            foreach ((int what, int which) in operations)
            {
                model.Run((Operation)what, which);
                model.Check();
            }
        }, runs: 40);
    }

    private enum Operation
    {
        Write,
        Map,
        UnmapPage,
        Set,
        Clear,
        MapSeveral,
        UnmapSeveral,
        Replace,
        Flush,
        Last = Flush,
    }

    private sealed class Model : IDisposable
    {
        private const nuint PageBytes = PageAllocator.PageSize;
        private const int Pages = 6, Slots = 4;

        // Both ends of a page tell whose it is, and cost a fraction of all of it.
        private const nuint EndBytes = 256;
        private const nint LastBytes = (nint)(PageBytes - EndBytes);

        private readonly Page[] _pages = new Page[Pages];
        private readonly ulong[] _contents = new ulong[Pages]; // 0: zero
        private readonly int[] _counts = new int[Pages];
        private readonly nint[] _addresses = new nint[Pages];
        private readonly int[] _slots = new int[Slots];
        private readonly List<(nint Address, int[] Pages)> _maps = [];
        private readonly int _areas = CountAreas();
        private ulong _lastContents;

        internal Model()
        {
            for (int i = 0; i < Pages; i++) _pages[i] = Take();
            _slots.AsSpan().Fill(-1);
        }

        internal void Run(Operation operation, int which)
        {
            int page = which % Pages, slot = which / Pages % Slots;
            switch (operation)
            {
                case Operation.Write:
                    (nint address, page) = Windows().ElementAtOrDefault(which % Math.Max(1, Windows().Count()));
                    if (address == 0) break;
                    _contents[page] = ++_lastContents;
                    Pattern.Fill((void*)address, EndBytes, _lastContents);
                    Pattern.Fill((void*)(address + LastBytes), EndBytes, ~_lastContents);
                    break;
                case Operation.Map:
                    nint mapped = (nint)PersistentMap.Map(_pages[page]);
                    if (_counts[page]++ != 0) Assert.Equal(_addresses[page], mapped);
                    _addresses[page] = mapped;
                    break;
                case Operation.UnmapPage:
                    if (_counts[page] == 0)
                    {
                        Assert.Throws<ArgumentException>(() => PersistentMap.Unmap(_pages[page]));
                        break;
                    }
                    PersistentMap.Unmap(_pages[page]);
                    _counts[page]--;
                    break;
                case Operation.Set:
                    Assert.True(FixedMap.Set(slot, _pages[page]) == FixedMap.AddressOf(slot));
                    _slots[slot] = page;
                    break;
                case Operation.Clear:
                    FixedMap.Clear(slot);
                    _slots[slot] = -1;
                    break;
                case Operation.MapSeveral:
                    int[] several =
                        [.. Enumerable.Range(0, 1 + which % 7).Select(i => (which + i * (1 + which % 4)) % Pages)];
                    _maps.Add(((nint)Vmalloc.Map([.. several.Select(i => _pages[i])]), several));
                    break;
                case Operation.UnmapSeveral:
                    if (_maps.Count == 0) break;
                    nint map = _maps[which % _maps.Count].Address;
                    _maps.RemoveAt(which % _maps.Count);
                    Vmalloc.Unmap((void*)map);
                    Assert.Throws<ArgumentException>(() => Vmalloc.Unmap((void*)map));
                    break;
                case Operation.Replace:
                    if (Windows().Any(window => window.Page == page)) break;
                    PageAllocator.FreePage(_pages[page]);
                    if (which % 3 == 0) NativeAllocator.Trim();
                    _pages[page] = Take();
                    _contents[page] = 0;
                    break;
                case Operation.Flush:
                    PersistentWindows.Flush();
                    break;
            }
        }

        internal void Check()
        {
            foreach ((nint address, int page) in Windows())
            {
                if (_contents[page] == 0)
                {
                    Pattern.CheckZero((void*)address, PageBytes);
                    continue;
                }
                Pattern.Check((void*)address, EndBytes, _contents[page]);
                Pattern.Check((void*)(address + LastBytes), EndBytes, ~_contents[page]);
            }
            Assert.Equal(_areas + _maps.Count, VmallocSpace.Count);
            PersistentWindows.Verify();
            VmallocSpace.Verify();
        }

        public void Dispose()
        {
            for (int page = 0; page < Pages; page++)
                for (; _counts[page] != 0; _counts[page]--) PersistentMap.Unmap(_pages[page]);
            for (int slot = 0; slot < Slots; slot++) FixedMap.Clear(slot);
            foreach ((nint map, _) in _maps) Vmalloc.Unmap((void*)map);
            foreach (Page page in _pages) PageAllocator.FreePage(page);
        }

        // Without kept ones, which a trim would give back in between.
        private static int CountAreas()
        {
            NativeAllocator.Trim();
            return VmallocSpace.Count;
        }

        private static Page Take() => PageAllocator.AllocPage(PageFlags.High | PageFlags.Zeroed);

        private IEnumerable<(nint Address, int Page)> Windows()
        {
            for (int page = 0; page < Pages; page++)
                if (_counts[page] != 0) yield return (_addresses[page], page);
            for (int slot = 0; slot < Slots; slot++)
                if (_slots[slot] >= 0) yield return (AddressOf(slot), _slots[slot]);
            foreach ((nint address, int[] pages) in _maps)
                for (int at = 0; at < pages.Length; at++) yield return (address + at * (nint)PageBytes, pages[at]);
        }

        private static nint AddressOf(int slot) => (nint)FixedMap.AddressOf(slot);
    }
}
