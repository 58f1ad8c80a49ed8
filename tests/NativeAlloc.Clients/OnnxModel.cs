using System.Runtime.InteropServices;
using System.Text;

namespace NativeAlloc.Clients;

/// <summary>
/// A small network in ONNX's format, protobuf: <c>x[rows, width]</c> goes through layers of MatMul and Relu to
/// <c>y[rows, width]</c>. Its numbers are whole and so small that a float holds each sum exactly: the answer is the
/// same in whatever order a runtime adds, and is known here without one.
/// </summary>
internal sealed class OnnxModel(int width, int layers)
{
    /// <summary>Rows of the input repeat after so many.</summary>
    internal const int DifferentRows = 16;

    internal int Width => width;

    /// <summary>Bytes of the weights of all layers.</summary>
    internal long WeightBytes => (long)layers * width * width * sizeof(float);

    /// <summary>The input: one row after the other.</summary>
    internal float[] Input(int rows)
    {
        float[] values = new float[rows * width];
        for (int i = 0; i < values.Length; i++) values[i] = Input(i / width % DifferentRows, i % width);
        return values;
    }

    /// <summary>What the network makes of the <see cref="DifferentRows"/> rows, by whole numbers.</summary>
    internal float[] Output()
    {
        float[] values = Input(DifferentRows);
        for (int layer = 0; layer < layers; layer++)
        {
            float[] next = new float[values.Length];
            for (int i = 0; i < values.Length; i++)
            {
                int sum = 0;
                for (int from = 0; from < width; from++)
                    sum += (int)values[i / width * width + from] * Weight(layer, from, i % width);
                next[i] = Math.Max(sum, 0);
            }
            values = next;
        }
        return values;
    }

    /// <summary>The file: a ModelProto of version 8 with the operators of version 17.</summary>
    internal byte[] ToBytes()
    {
        Message graph = new();
        for (int layer = 0; layer < layers; layer++)
        {
            string input = layer == 0 ? "x" : $"relu{layer - 1}", output = layer == layers - 1 ? "y" : $"relu{layer}";
            graph.Add(1, Node("MatMul", $"sum{layer}", input, $"weights{layer}"));
            graph.Add(1, Node("Relu", output, $"sum{layer}"));
            graph.Add(5, Weights(layer));
        }
        graph.Add(2, "layers").Add(11, Tensor("x")).Add(12, Tensor("y"));
        return new Message().Add(1, 8).Add(7, graph).Add(8, new Message().Add(2, 17)).ToBytes();
    }

    private static float Input(int row, int column) => (row * 5 + column * column) % 7 - 3;

    // One in 16 counts, as 1 or -1 or not at all: four layers of 512 stay below 2^24.
    private static int Weight(int layer, int from, int to) =>
        (from * 7 + to * 13 + layer * 5) % 16 == 0 ? (from + to * 5) % 3 - 1 : 0;

    private static Message Node(string kind, string output, params ReadOnlySpan<string> inputs)
    {
        Message node = new();
        foreach (string input in inputs) node.Add(1, input);
        return node.Add(2, output).Add(4, kind);
    }

    // A TensorProto of floats.
    private Message Weights(int layer)
    {
        float[] values = new float[width * width];
        for (int i = 0; i < values.Length; i++) values[i] = Weight(layer, i / width, i % width);
        return new Message().Add(1, width).Add(1, width).Add(2, 1).Add(8, $"weights{layer}")
            .Add(9, MemoryMarshal.AsBytes(values.AsSpan()));
    }

    // A ValueInfoProto: floats, any number of rows.
    private Message Tensor(string name)
    {
        Message shape = new Message().Add(1, new Message().Add(2, "rows")).Add(1, new Message().Add(1, width));
        return new Message().Add(1, name).Add(2, new Message().Add(1, new Message().Add(1, 1).Add(2, shape)));
    }

    /// <summary>A message of protobuf, field after field.</summary>
    private sealed class Message
    {
        private readonly List<byte> _bytes = [];

        internal byte[] ToBytes() => [.. _bytes];

        internal Message Add(int field, int value)
        {
            Write(field << 3);
            Write(value);
            return this;
        }

        internal Message Add(int field, ReadOnlySpan<byte> value)
        {
            Write(field << 3 | 2);
            Write(value.Length);
            _bytes.AddRange(value);
            return this;
        }

        internal Message Add(int field, string value) => Add(field, Encoding.UTF8.GetBytes(value));

        internal Message Add(int field, Message value) => Add(field, value.ToBytes());

        // A number, seven bits in a byte, the lowest first.
        private void Write(int value)
        {
            for (; value > 127; value >>= 7) _bytes.Add((byte)(value & 127 | 128));
            _bytes.Add((byte)value);
        }
    }
}
