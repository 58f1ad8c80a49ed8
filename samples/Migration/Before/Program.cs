// A store of documents outside of the collector's heap: it is filled, its documents are edited and then dropped. The
// same program stands in Before and in After; the two differ by the class that is called. Times are processor time.
using System.Buffers;
using System.Globalization;
using System.Runtime.InteropServices;

const int WarmUp = 300, Rounds = 1_000;
int documents = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 2_000;
TimeSpan load = default, draft = default, edit = default, drop = default;
ulong sum = 0;
for (int round = -WarmUp; round < Rounds; round++)
{
    if (round == 0) load = draft = edit = drop = default; // the compiler is done
    TimeSpan start = Environment.CpuUsage.TotalTime;
    Store store = new(documents);
    for (int i = 0; i < documents; i++) store.Add(i);
    load += Environment.CpuUsage.TotalTime - start;

    start = Environment.CpuUsage.TotalTime;
    for (int i = 0; i < documents; i++) Store.Draft(i);
    draft += Environment.CpuUsage.TotalTime - start;

    start = Environment.CpuUsage.TotalTime;
    for (int i = 0; i < documents; i++) store.Edit(i);
    edit += Environment.CpuUsage.TotalTime - start;

    sum += store.Sum();
    start = Environment.CpuUsage.TotalTime;
    store.Drop();
    drop += Environment.CpuUsage.TotalTime - start;
}
Console.WriteLine($"sum {sum}");
foreach ((string part, TimeSpan time) in new[]
    { ("load", load), ("draft", draft), ("edit", edit), ("drop", drop) })
    Console.Error.WriteLine($"{part} {time.TotalNanoseconds / Rounds / documents:0.0} ns for a document");

// A document is a text and an entry of the index, linked to the one before.
internal sealed unsafe class Store(int capacity)
{
    private readonly Entry*[] _index = new Entry*[capacity];
    private int _count;

    private struct Entry
    {
        public Entry* Previous;
        public nint Text;
        public int Length;
    }

    public void Add(int number)
    {
        int length = 16 + number * 37 % 500;
        Entry* entry = (Entry*)NativeMemory.Alloc((nuint)sizeof(Entry));
        entry->Previous = _count == 0 ? null : _index[_count - 1];
        entry->Text = Marshal.AllocHGlobal(length);
        entry->Length = length;
        Write(entry, number);
        _index[_count++] = entry;
    }

    public static void Draft(int number)
    {
        int length = 16 + number * 61 % 700;
        using IMemoryOwner<byte> draft = MemoryPool<byte>.Shared.Rent(length);
        draft.Memory.Span[length - 1] = (byte)number;
    }

    public void Edit(int number)
    {
        Entry* entry = _index[number];
        int length = 16 + number * 61 % 700;
        entry->Text = Marshal.ReAllocHGlobal(entry->Text, length);
        entry->Length = length;
        Write(entry, number);
    }

    public ulong Sum()
    {
        ulong sum = 0;
        for (Entry* entry = _index[_count - 1]; entry != null; entry = entry->Previous)
            sum += ((byte*)entry->Text)[0] + (ulong)entry->Length;
        return sum;
    }

    public void Drop()
    {
        for (int i = 0; i < _count; i++)
        {
            Marshal.FreeHGlobal(_index[i]->Text);
            NativeMemory.Free(_index[i]);
        }
        _count = 0;
    }

    private static void Write(Entry* entry, int number) =>
        ((byte*)entry->Text)[0] = ((byte*)entry->Text)[entry->Length - 1] = (byte)number;
}
