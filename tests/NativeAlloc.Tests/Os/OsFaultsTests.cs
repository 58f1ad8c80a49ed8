using NativeAlloc.Os;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Os;

/// <summary>
/// Shows that the hook reaches every call there is, that a call it fails changes nothing, and that it fails no other.
/// </summary>
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
        // A container may forbid the first and a kernel be built without the others: nothing depends on them.
        foreach (OsCall call in Enum.GetValues<OsCall>().Except([OsCall.Bind, OsCall.AdviseHuge]))
            if (call != OsCall.Move || Platform.MovesMemory) Assert.True(fixture.Do(call), call.ToString());
    }

    [Fact]
    public void A_failed_call_changes_nothing()
    {
        nuint address = AddressSpace.Map(Page), target = AddressSpace.Reserve(Page);
        *(long*)address = 42;
        using (new InjectedFaults(_ => true))
        {
            Assert.False(VirtualMemory.TryPurge(address, Page));
            Assert.False(VirtualMemory.TryProtect(address, Page, accessible: false));
            Assert.False(VirtualMemory.TryDecommit(address, Page));
            Assert.False(VirtualMemory.TryMove(address, Page, target));
            Assert.False(VirtualMemory.TryReserve(Page, Page, out nuint reserved));
            Assert.Equal(0u, reserved);
        }
        Assert.Equal(AddressSpace.Private, AddressSpace.PermissionsAt(address));
        Assert.Equal(AddressSpace.Inaccessible, AddressSpace.PermissionsAt(target));
        Assert.Equal(42, *(long*)address);
        VirtualMemory.Release(address, Page);
        VirtualMemory.Release(target, Page);
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
        private readonly nuint _mapped, _reserved, _target;
        private readonly nint _file;
        private readonly TemporaryDirectory _root = new();
        private readonly LinuxSystem _linux;
        private readonly NodeTopology _nodes;
        private nuint _fileBytes = Page;

        internal Fixture()
        {
            _mapped = AddressSpace.Map(Page);
            _reserved = AddressSpace.Reserve(Page);
            _target = AddressSpace.Reserve(Page);
            Assert.True(VirtualMemory.TryCreateFile(Page, out _file));
            // Two nodes, and all processors on the second.
            SystemNeeds.Linux("/proc and /sys");
            _root.Write("sys/devices/system/node/has_memory", "0-1");
            _root.Write("sys/devices/system/node/online", "0-1");
            for (int node = 0; node < 2; node++)
            {
                _root.Write($"sys/devices/system/node/node{node}/cpulist", node == 0 ? "" : "0-4095");
                _root.Write($"sys/devices/system/node/node{node}/distance", "10 20");
            }
            _linux = new LinuxSystem(_root.Path);
            _nodes = NodeTopology.Read(_linux, 0);
        }

        internal bool Do(OsCall call)
        {
            switch (call)
            {
                case OsCall.Reserve:
                    if (!VirtualMemory.TryReserve(Page, Page, out nuint reserved)) return false;
                    VirtualMemory.Release(reserved, Page);
                    return true;
                case OsCall.Commit: return VirtualMemory.TryCommit(_mapped, Page);
                case OsCall.Purge: return VirtualMemory.TryPurge(_mapped, Page);
                case OsCall.Protect:
                    return VirtualMemory.TryProtect(_mapped, Page, accessible: false)
                        && VirtualMemory.TryProtect(_mapped, Page, accessible: true);
                case OsCall.Move: return VirtualMemory.TryMove(_mapped, Page, _target);
                case OsCall.Decommit: return VirtualMemory.TryDecommit(_target, Page);
                case OsCall.AdviseHuge: return VirtualMemory.TryAdviseHuge(_mapped, Page);
                case OsCall.CreateFile:
                    if (!VirtualMemory.TryCreateFile(Page, out nint file)) return false;
                    VirtualMemory.CloseFile(file);
                    return true;
                case OsCall.MapFile:
                    bool there = VirtualMemory.TryMapFile(_file, 0, _reserved, Page);
                    bool back = VirtualMemory.TryUnmapFile(_reserved, Page);
                    Assert.Equal(there, back);
                    return there;
                case OsCall.PurgeFile: return VirtualMemory.TryPurgeFile(_file, 0, Page);
                case OsCall.GrowFile:
                    if (!VirtualMemory.TryGrowFile(_file, _fileBytes + Page)) return false;
                    _fileBytes += Page;
                    return true;
                case OsCall.Lock:
                    if (!VirtualMemory.TryLock(_mapped, Page)) return false;
                    VirtualMemory.TryUnlock(_mapped, Page);
                    return true;
                case OsCall.Unlock: return VirtualMemory.TryUnlock(_mapped, Page); // also of what is not locked
                case OsCall.Bind: return VirtualMemory.TryBind(_mapped, Page, NodeTopology.Current.SystemNodeOf(0));
                case OsCall.ReadNodes: return NodeTopology.Read(_linux, 0).Count == 2;
                case OsCall.CurrentProcessor: return _nodes.NodeOfCurrentThread() == 1;
                case OsCall.ReadFigure: return Machine.Read(SystemFigure.MappingLimit) != null;
                default:
                    throw new ArgumentOutOfRangeException(nameof(call), call,
                        "the fixture does not know this call yet");
            }
        }

        public void Dispose()
        {
            _root.Dispose();
            VirtualMemory.CloseFile(_file);
            VirtualMemory.Release(_reserved, Page);
            VirtualMemory.Release(_target, Page);
            VirtualMemory.Release(_mapped, Page);
        }
    }
}
