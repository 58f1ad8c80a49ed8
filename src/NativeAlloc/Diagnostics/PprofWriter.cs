using System.IO.Compression;
using System.Text;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The profile in the format of pprof: the messages of <c>profile.proto</c> in the wire format of protobuf, compressed
/// by gzip. The numbers of fields are those of that file.
/// </summary>
internal sealed class PprofWriter
{
    private const int Varint = 0, Bytes = 2; // wire types

    private readonly List<string> _strings = [""]; // number 0 is empty
    private readonly Dictionary<string, long> _stringNumbers = new() { [""] = 0 };
    private readonly Dictionary<ProfileFrame, long> _locations = [];
    private readonly Dictionary<(string, string?), long> _functions = [];
    private readonly Dictionary<string, long> _modules = [];

    internal static void Write(Stream stream, Profile profile)
    {
        MemoryStream message = new();
        new PprofWriter().WriteProfile(message, profile);
        message.Position = 0;
        using (GZipStream compressed = new(stream, CompressionLevel.Optimal, leaveOpen: true))
            message.CopyTo(compressed);
        stream.Flush(); // the end of the compressed bytes has just been written, and nobody else flushes
    }

    private void WriteProfile(MemoryStream message, Profile profile)
    {
        foreach ((string type, string unit) in (ReadOnlySpan<(string, string)>)[("alloc_objects", "count"),
            ("alloc_space", "bytes"), ("inuse_objects", "count"), ("inuse_space", "bytes")])
            WriteMessage(message, 1, value => WriteValueType(value, type, unit));
        foreach (ProfileStack stack in profile.Stacks) WriteMessage(message, 2, sample => WriteSample(sample, stack));
        foreach ((string module, long number) in _modules)
            WriteMessage(message, 3, mapping => WriteMapping(mapping, module, number));
        foreach ((ProfileFrame frame, long number) in _locations)
            WriteMessage(message, 4, location => WriteLocation(location, frame, number));
        foreach (((string method, string? file), long number) in _functions)
            WriteMessage(message, 5, function => WriteFunction(function, method, file, number));
        long space = NumberOf("space"), bytes = NumberOf("bytes"), inUse = NumberOf("inuse_space");
        WriteNumber(message, 9, (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100); // nanoseconds
        WriteMessage(message, 11, value =>
        {
            WriteNumber(value, 1, space);
            WriteNumber(value, 2, bytes);
        });
        WriteNumber(message, 14, inUse); // the one that is shown first
        foreach (string text in _strings) WriteBytes(message, 6, Encoding.UTF8.GetBytes(text));
    }

    private void WriteValueType(Stream stream, string type, string unit)
    {
        WriteNumber(stream, 1, NumberOf(type));
        WriteNumber(stream, 2, NumberOf(unit));
    }

    private void WriteSample(Stream stream, ProfileStack stack)
    {
        foreach (ProfileFrame frame in stack.Frames) WriteNumber(stream, 1, LocationOf(frame));
        WriteNumber(stream, 2, stack.Total.Blocks);
        WriteNumber(stream, 2, stack.Total.Bytes);
        WriteNumber(stream, 2, stack.Live.Blocks);
        WriteNumber(stream, 2, stack.Live.Bytes);
        WriteMessage(stream, 3, label =>
        {
            WriteNumber(label, 1, NumberOf("process"));
            WriteNumber(label, 2, NumberOf(AppDomain.CurrentDomain.FriendlyName));
        });
        WriteMessage(stream, 3, label =>
        {
            WriteNumber(label, 1, NumberOf("pid"));
            WriteNumber(label, 3, Environment.ProcessId);
        });
    }

    private void WriteMapping(Stream stream, string module, long number)
    {
        WriteNumber(stream, 1, number);
        WriteNumber(stream, 5, NumberOf(module));
        WriteNumber(stream, 6, NumberOf(ModuleIdOf(module)));
        WriteNumber(stream, 7, 1); // it has functions
    }

    // What tells one build of an assembly from another.
    private static string ModuleIdOf(string module) => AppDomain.CurrentDomain.GetAssemblies()
        .FirstOrDefault(assembly => assembly.GetName().Name == module)?
        .ManifestModule.ModuleVersionId.ToString("N") ?? "";

    private static void WriteLocation(Stream stream, ProfileFrame frame, long number, long module, long function)
    {
        WriteNumber(stream, 1, number);
        WriteNumber(stream, 2, module);
        WriteMessage(stream, 4, line =>
        {
            WriteNumber(line, 1, function);
            WriteNumber(line, 2, frame.Line);
        });
    }

    private void WriteLocation(Stream stream, ProfileFrame frame, long number) =>
        WriteLocation(stream, frame, number, _modules[frame.Module], _functions[(frame.Method, frame.File)]);

    private void WriteFunction(Stream stream, string method, string? file, long number)
    {
        WriteNumber(stream, 1, number);
        WriteNumber(stream, 2, NumberOf(method));
        WriteNumber(stream, 3, NumberOf(method));
        WriteNumber(stream, 4, NumberOf(file ?? ""));
    }

    private long LocationOf(ProfileFrame frame)
    {
        if (_locations.TryGetValue(frame, out long number)) return number;
        _modules.TryAdd(frame.Module, _modules.Count + 1);
        _functions.TryAdd((frame.Method, frame.File), _functions.Count + 1);
        return _locations[frame] = _locations.Count + 1;
    }

    private long NumberOf(string text)
    {
        if (_stringNumbers.TryGetValue(text, out long number)) return number;
        _strings.Add(text);
        return _stringNumbers[text] = _strings.Count - 1;
    }

    private static void WriteMessage(Stream stream, int field, Action<Stream> write)
    {
        MemoryStream inner = new();
        write(inner);
        WriteBytes(stream, field, inner.GetBuffer().AsSpan(0, (int)inner.Length));
    }

    private static void WriteBytes(Stream stream, int field, ReadOnlySpan<byte> bytes)
    {
        WriteVarint(stream, (ulong)(field << 3 | Bytes));
        WriteVarint(stream, (ulong)bytes.Length);
        stream.Write(bytes);
    }

    private static void WriteNumber(Stream stream, int field, long number)
    {
        WriteVarint(stream, (ulong)(field << 3 | Varint));
        WriteVarint(stream, unchecked((ulong)number));
    }

    private static void WriteVarint(Stream stream, ulong number)
    {
        for (; number >= 0x80; number >>= 7) stream.WriteByte(unchecked((byte)(number | 0x80)));
        stream.WriteByte((byte)number);
    }
}
