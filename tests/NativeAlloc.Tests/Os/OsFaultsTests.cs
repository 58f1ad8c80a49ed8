using NativeAlloc.Os;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>Shows that the hook reaches every call there is, that a call it fails changes nothing, and that it fails no other.</summary>
public sealed unsafe class OsFaultsTests
{
    private static nuint Page => VirtualMemory.PageBytes;

    public static TheoryData<int> AllCalls => [.. Enum.GetValues<OsCall>().Select(call => (int)call)];

    [Theory]
    [MemberData(nameof(AllCalls))]
    public void A_failing_kind_of_call_fails_and_no_other_does(int number)
    {
        OsCall failing = (OsCall)number;
        using Fixture fixture = new();
        foreach (OsCall call in Enum.GetValues<OsCall>())
        {
            bool possible = fixture.Do(call), done;
            using (new InjectedFaults(failing)) done = fixture.Do(call);
            Assert.Equal(possible && call != failing, done);
        }
    }

    [Fact]
    public void Without_a_hook_nothing_fails()
    {
        using Fixture fixture = new();
        // A container may forbid the one and a kernel be built without the other: nothing depends on them.
        foreach (OsCall call in Enum.GetValues<OsCall>().Except([OsCall.Bind, OsCall.Advise])) Assert.True(fixture.Do(call), call.ToString());
    }

    [Fact]
    public void A_failed_call_changes_nothing()
    {
        Assert.True(VirtualMemory.TryMap(Page, Page, out nuint address));
        *(long*)address = 42;
        using (new InjectedFaults(_ => true))
        {
            Assert.False(VirtualMemory.TryPurge(address, Page));
            Assert.False(VirtualMemory.TryProtect(address, Page, accessible: false));
            Assert.False(VirtualMemory.TryRemap(address, Page, 2 * Page, out nuint moved));
            Assert.False(VirtualMemory.TryReserve(Page, Page, out nuint reserved));
            Assert.False(VirtualMemory.TryMap(Page, Page, out nuint mapped));
            Assert.Equal(0u, moved | reserved | mapped);
        }
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address));
        Assert.Equal(42, *(long*)address);
        VirtualMemory.Release(address, Page);
    }

    [Fact]
    public void The_hook_sees_each_call_once()
    {
        List<OsCall> seen = [];
        using (new InjectedFaults(call => { seen.Add(call); return false; }))
        {
            Assert.True(VirtualMemory.TryReserve(Page, Page, out nuint address));
            Assert.True(VirtualMemory.TryCommit(address, Page));
            VirtualMemory.Release(address, Page);
        }
        Assert.Equal([OsCall.Reserve, OsCall.Commit], seen);
    }

    /// <summary>One piece of memory of each kind, and a way to make each call on it.</summary>
    private sealed class Fixture : IDisposable
    {
        private nuint _mapped;
        private nuint _mappedBytes = Page;
        private readonly nuint _reserved;
        private readonly nint _section;
        private nuint _sectionBytes = Page;

        internal Fixture()
        {
            Assert.True(VirtualMemory.TryMap(Page, Page, out _mapped));
            Assert.True(VirtualMemory.TryReserve(Page, Page, out _reserved));
            Assert.True(VirtualMemory.TryCreateSection(Page, out _section));
        }

        internal bool Do(OsCall call)
        {
            switch (call)
            {
                case OsCall.Reserve: return Kept(VirtualMemory.TryReserve(Page, Page, out nuint reserved), reserved);
                case OsCall.Map: return Kept(VirtualMemory.TryMap(Page, Page, out nuint mapped), mapped);
                case OsCall.Commit: return VirtualMemory.TryCommit(_mapped, Page);
                case OsCall.Purge: return VirtualMemory.TryPurge(_mapped, Page);
                case OsCall.Protect: return VirtualMemory.TryProtect(_mapped, Page, accessible: false) && VirtualMemory.TryProtect(_mapped, Page, accessible: true);
                case OsCall.Remap:
                    if (!VirtualMemory.TryRemap(_mapped, _mappedBytes, _mappedBytes + Page, out nuint moved)) return false;
                    (_mapped, _mappedBytes) = (moved, _mappedBytes + Page);
                    return true;
                case OsCall.Move: return Kept(VirtualMemory.TryMove(_mapped, Page, Page, out nuint elsewhere), elsewhere);
                case OsCall.CreateSection:
                    if (!VirtualMemory.TryCreateSection(Page, out nint section)) return false;
                    VirtualMemory.CloseSection(section);
                    return true;
                case OsCall.MapSection:
                    bool there = VirtualMemory.TryMapSection(_section, 0, _reserved, Page);
                    bool back = VirtualMemory.TryUnmapSection(_reserved, Page);
                    Assert.Equal(there, back);
                    return there;
                case OsCall.PurgeSection: return VirtualMemory.TryPurgeSection(_section, 0, Page);
                case OsCall.GrowSection:
                    if (!VirtualMemory.TryGrowSection(_section, _sectionBytes + Page)) return false;
                    _sectionBytes += Page;
                    return true;
                case OsCall.Lock:
                    if (!VirtualMemory.TryLock(_mapped, Page)) return false;
                    VirtualMemory.Unlock(_mapped, Page);
                    return true;
                case OsCall.Bind: return VirtualMemory.TryBind(_mapped, Page, NodeTopology.Current.SystemNodeOf(0));
                case OsCall.Advise: return VirtualMemory.TryAdviseHuge(_mapped, Page);
                default: throw new ArgumentOutOfRangeException(nameof(call), call, "the fixture does not know this call yet");
            }
        }

        private static bool Kept(bool done, nuint address)
        {
            if (done) VirtualMemory.Release(address, Page);
            return done;
        }

        public void Dispose()
        {
            VirtualMemory.CloseSection(_section);
            VirtualMemory.Release(_reserved, Page);
            VirtualMemory.Release(_mapped, _mappedBytes);
        }
    }
}
