using System.Buffers;
using Apache.Arrow;
using Apache.Arrow.Ipc;
using Apache.Arrow.Memory;
using Apache.Arrow.Types;

namespace NativeAlloc.Clients;

/// <summary>Apache Arrow, whose builders and readers take a <see cref="MemoryAllocator"/>.</summary>
internal static class ArrowClient
{
    internal static void Run(bool native, int scale)
    {
        MemoryAllocator allocator = native ? new Allocator() : new NativeMemoryAllocator();
        for (int round = 0; round < 10 * scale; round++) RoundTrip(allocator, 50_000);
        if (native) Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "Arrow left blocks");
    }

    private static void RoundTrip(MemoryAllocator allocator, int rows)
    {
        Int64Array.Builder numbers = new();
        StringArray.Builder names = new();
        for (int i = 0; i < rows; i++)
        {
            numbers.Append(i * 3L);
            names.Append($"name {i % 1000}");
        }
        Schema schema = new Schema.Builder().Field(field => field.Name("number").DataType(Int64Type.Default))
            .Field(field => field.Name("name").DataType(StringType.Default)).Build();
        using NativeStream stream = new();
        using (RecordBatch batch = new(schema, [numbers.Build(allocator), names.Build(allocator)], rows))
        using (ArrowStreamWriter writer = new(stream, schema, leaveOpen: true))
        {
            writer.WriteRecordBatch(batch);
            writer.WriteEnd();
        }
        stream.Position = 0;
        using ArrowStreamReader reader = new(stream, allocator, leaveOpen: true);
        using RecordBatch read = reader.ReadNextRecordBatch();
        Program.Check(read.Length == rows, "Arrow lost rows");
        Int64Array back = (Int64Array)read.Column(0);
        StringArray text = (StringArray)read.Column(1);
        for (int i = 0; i < rows; i += 997)
            Program.Check(back.GetValue(i) == i * 3L && text.GetString(i) == $"name {i % 1000}", $"row {i} is another");
    }

    private sealed class Allocator : MemoryAllocator
    {
        protected override IMemoryOwner<byte> AllocateInternal(int length, out int bytesAllocated)
        {
            bytesAllocated = length;
            return new NativeBuffer<byte>(length, zeroed: true); // Arrow's padding has to be zero
        }
    }
}
