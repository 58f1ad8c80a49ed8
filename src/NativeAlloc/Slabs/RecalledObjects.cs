using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Slabs;

/// <summary>The few objects of a thread that were asked for and of which nobody could say so far whether their owner has used them: at most one of each loaded magazine.</summary>
[InlineArray(Most)]
internal unsafe struct RecalledObjects
{
    /// <summary>
    /// One is added when the owner uses a magazine in the very microseconds in which objects are recalled from it, and its next slow path takes all of them out. With so many, a thread that falls idle
    /// just then is still asked for its other magazines.
    /// </summary>
    private const int Most = 4;

    private RecalledObject _first;

    /// <summary>The one of a loaded magazine, or null.</summary>
    internal RecalledObject* Find(int side)
    {
        RecalledObject* first = (RecalledObject*)Unsafe.AsPointer(ref this); // in native memory
        for (int i = 0; i < Most; i++)
            if (first[i].Slot != 0 && first[i].Side == side) return first + i;
        return null;
    }

    /// <summary>A place for another one, or null.</summary>
    internal RecalledObject* FindPlace()
    {
        RecalledObject* first = (RecalledObject*)Unsafe.AsPointer(ref this);
        for (int i = 0; i < Most; i++)
            if (first[i].Slot == 0) return first + i;
        return null;
    }

    /// <summary>Adds the loaded magazines that have one to a set.</summary>
    internal void AddTo(ref SideSet sides)
    {
        foreach (ref RecalledObject recalled in this)
            if (recalled.Slot != 0) sides.Add(recalled.Side);
    }
}

/// <summary>An object that another thread has taken out of a loaded magazine from below its top, and put 0 in its place.</summary>
/// <remarks>Only for one who visits the cache, or has closed it, and is the magazine's owner, has claimed it, or knows that the owner does not use it. Any thread reads it for statistics.</remarks>
[StructLayout(LayoutKind.Sequential)]
internal struct RecalledObject
{
    private nint _slot;

    /// <summary>What was in the slot.</summary>
    public nint Object;

    /// <summary>Which loaded magazine it was.</summary>
    public int Side;

    /// <summary>1 when the top was seen above the slot's successor, after a barrier: then the object was not given out, or the slot has been filled again.</summary>
    public int WasBelow;

    /// <summary>The slot it was in; 0 where this describes none. Written last.</summary>
    public nint Slot
    {
        readonly get => Volatile.Read(in _slot);
        set => Volatile.Write(ref _slot, value);
    }
}
