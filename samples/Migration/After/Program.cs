// A store of documents outside of the collector's heap: it is filled, its documents are edited and then dropped. The
// same program stands in Before and in After; the two differ by the class that is called.
using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using NativeAlloc;

int documents = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 200_000;
long load = 0, edit = 0, drop = 0;
ulong sum = 0;
for (int round = 0; round < 5; round++)
{
    long start = Stopwatch.GetTimestamp();
    Store store = new(documents);
    for (int i = 0; i < documents; i++) store.Add(i);
    load += Stopwatch.GetTimestamp() - start;

    start = Stopwatch.GetTimestamp();
    for (int i = 0; i < documents; i += 2) store.Edit(i);
    edit += Stopwatch.GetTimestamp() - start;

    sum += store.Sum();
    start = Stopwatch.GetTimestamp();
    store.Drop();
    drop += Stopwatch.GetTimestamp() - start;
}
Console.WriteLine($"sum {sum}");
foreach ((string part, long ticks) in new[] { ("load", load), ("edit", edit), ("drop", drop) })
    Console.Error.WriteLine($"{part} {ticks * 1e9 / Stopwatch.Frequency / 5 / documents:0.0} ns for a document");

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
        Entry* entry = (Entry*)NativeAllocator.Alloc((nuint)sizeof(Entry));
        entry->Previous = _count == 0 ? null : _index[_count - 1];
        entry->Text = HGlobal.AllocHGlobal(length);
        entry->Length = length;
        Write(entry, number);
        _index[_count++] = entry;
    }

    public void Edit(int number)
    {
        Entry* entry = _index[number];
        int length = 16 + number * 61 % 700;
        using (IMemoryOwner<byte> draft = NativeMemoryPool<byte>.Shared.Rent(length))
            draft.Memory.Span[length - 1] = (byte)number;
        entry->Text = HGlobal.ReAllocHGlobal(entry->Text, length);
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
            HGlobal.FreeHGlobal(_index[i]->Text);
            NativeAllocator.Free(_index[i]);
        }
        _count = 0;
    }

    private static void Write(Entry* entry, int number) =>
        ((byte*)entry->Text)[0] = ((byte*)entry->Text)[entry->Length - 1] = (byte)number;
}
