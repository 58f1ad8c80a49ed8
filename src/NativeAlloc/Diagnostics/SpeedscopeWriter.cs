using System.Text.Json;
using NativeAlloc.Profiling;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// The profile in the file format of speedscope: the frames once, and for each profile samples with weights.
/// </summary>
internal static class SpeedscopeWriter
{
    internal const string Schema = "https://www.speedscope.app/file-format-schema.json";

    internal static void Write(Stream stream, Profile profile)
    {
        Dictionary<ProfileFrame, int> frames = [];
        foreach (ProfileStack stack in profile.Stacks)
            foreach (ProfileFrame frame in stack.Frames) frames.TryAdd(frame, frames.Count);
        using Utf8JsonWriter json = new(stream);
        json.WriteStartObject();
        json.WriteString("$schema", Schema);
        json.WriteString("name", "NativeAlloc");
        json.WriteString("exporter", "NativeAlloc");
        json.WriteStartObject("shared");
        json.WriteStartArray("frames");
        foreach (ProfileFrame frame in frames.Keys) WriteFrame(json, frame);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteStartArray("profiles");
        WriteProfile(json, "live bytes", profile, frames, static stack => stack.Live);
        WriteProfile(json, "allocated bytes", profile, frames, static stack => stack.Total);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteFrame(Utf8JsonWriter json, ProfileFrame frame)
    {
        json.WriteStartObject();
        json.WriteString("name", frame.Method);
        if (frame.File != null)
        {
            json.WriteString("file", frame.File);
            json.WriteNumber("line", frame.Line);
        }
        json.WriteEndObject();
    }

    private static void WriteProfile(Utf8JsonWriter json, string name, Profile profile,
        Dictionary<ProfileFrame, int> frames, Func<ProfileStack, Estimate> weight)
    {
        ProfileStack[] stacks = [.. profile.Stacks.Where(stack => weight(stack).Bytes > 0)];
        json.WriteStartObject();
        json.WriteString("type", "sampled");
        json.WriteString("name", name);
        json.WriteString("unit", "bytes");
        json.WriteNumber("startValue", 0);
        json.WriteNumber("endValue", stacks.Sum(stack => weight(stack).Bytes));
        json.WriteStartArray("samples");
        foreach (ProfileStack stack in stacks)
        {
            json.WriteStartArray();
            foreach (ProfileFrame frame in stack.Frames.Reverse()) json.WriteNumberValue(frames[frame]);
            json.WriteEndArray();
        }
        json.WriteEndArray();
        json.WriteStartArray("weights");
        foreach (ProfileStack stack in stacks) json.WriteNumberValue(weight(stack).Bytes);
        json.WriteEndArray();
        json.WriteEndObject();
    }
}
