using System.Globalization;
using NativeAlloc.Mapping;
using NativeAlloc.Os;
using NativeAlloc.Pages;
using static NativeAlloc.TestHost.ProcessLimit;

namespace NativeAlloc.TestHost;

/// <summary>
/// Linux as a system that charges commit. A block that cannot grow is committed and charged as before: what was
/// committed of its room goes back. Pages that cannot be committed go back as they were, also under a reader.
/// </summary>
internal static unsafe class CommitCharged
{
    internal const string Name = "commit-charged";

    private const uint UsedPages = 5, WantedPages = 100; // there is room for 64

    internal static int Run()
    {
        AppContext.SetSwitch(Platform.AsOthersSwitch, true);
        int exitCode = TakeInVain();
        return exitCode != 0 ? exitCode : GrowInVain();
    }

    // Two pages side by side, of which the first has memory and the second has none.
    private static int TakeInVain()
    {
        if (!PageLayer.TryTakePages(null, 2, MemoryChoice.FreshFirst, out uint page)) return Complain("no pages");
        byte* first = (byte*)LinearRegion.AddressOf(page);
        *first = 7;
        if (!VirtualMemory.TryPurge((nuint)first + PageGeometry.PageBytes, PageGeometry.PageBytes))
            return Complain("the second page was not purged");
        PageLayer.GivePages(page + 1, 1, clean: true);
        PageLayer.GivePages(page, 1);
        nuint charged = ResidentBudget.ChargedBytes;
        bool taken = false;
        FaultPlan plan = new(OsCall.Commit, 0, andAllLater: true);
        ForeignReads.Begin();
        plan.Run(() => taken = PageLayer.TryTakePages(null, 2, MemoryChoice.UsedFirst, out _));
        ForeignReads.End();
        if (taken || plan.Injected == 0) return Complain("the commit of two pages did not fail");
        if (!LinearRegion.Dirty.IsSet(page) || *first != 7) return Complain("the first page counts as clean");
        if (LinearRegion.Dirty.IsSet(page + 1)) return Complain("the second page counts as dirty");
        if (ResidentBudget.ChargedBytes != charged) return Complain("pages that were not had are charged");
        PageLayer.Verify();
        return 0;
    }

    private static int GrowInVain()
    {
        void* block = Areas.Alloc(BytesOf(UsedPages), 1, out _, MemoryChoice.FreshOnly, end: AreaEnd.Room);
        nuint charged = ResidentBudget.ChargedBytes, room = (nuint)block + BytesOf(UsedPages);
        for (int failing = 0; failing < 2; failing++) // the commit of the room; what is to be behind it
        {
            void* grown = null;
            FaultPlan plan = new(OsCall.Commit, failing, andAllLater: true);
            plan.Run(() => grown = Areas.Realloc(block, BytesOf(WantedPages), out _, end: AreaEnd.Room));
            if (grown != null || plan.Injected == 0) return Complain($"commit {failing} did not fail");
            if (ResidentBudget.ChargedBytes != charged) return Complain($"commit {failing} is charged");
            if (IsAccessible(room)) return Complain($"after commit {failing} the room is committed");
        }
        Areas.TryFree(block);
        return 0;
    }

    private static nuint BytesOf(uint pages) => (nuint)pages << PageGeometry.PageShift;

    private static bool IsAccessible(nuint address)
    {
        foreach (string mapping in File.ReadAllLines("/proc/self/maps"))
        {
            string[] ends = mapping[..mapping.IndexOf(' ', StringComparison.Ordinal)].Split('-');
            if (address < nuint.Parse(ends[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
                || address >= nuint.Parse(ends[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture)) continue;
            return mapping.Contains(" rw", StringComparison.Ordinal);
        }
        return false;
    }
}
