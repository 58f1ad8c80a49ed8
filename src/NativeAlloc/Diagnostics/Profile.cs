using System.Text;
using NativeAlloc.Profiling;

namespace NativeAlloc.Diagnostics;

/// <summary>What the profiler knows of one stack.</summary>
/// <param name="Frames">From the innermost on; empty where stacks cannot be taken.</param>
internal sealed record ProfileStack(ProfileFrame[] Frames, Estimate Live, Estimate Total, long LiveSamples);

/// <summary>
/// The profile at one moment: stacks by their methods, not by their addresses, as code is compiled anew while it runs.
/// Threads go on meanwhile.
/// </summary>
internal sealed class Profile
{
    private Profile(List<ProfileStack> stacks) => Stacks = stacks;

    /// <summary>Those with the most live bytes first.</summary>
    internal IReadOnlyList<ProfileStack> Stacks { get; }

    internal long LiveBytes => Stacks.Sum(static stack => stack.Live.Bytes);

    internal long TotalBytes => Stacks.Sum(static stack => stack.Total.Bytes);

    internal static Profile Read()
    {
        Dictionary<string, ProfileStack> merged = [];
        StackRecord[] records = new StackRecord[AllocationSampler.CopyAtOnce];
        for (int first = 0, count; (count = AllocationSampler.CopyStacks(first, records)) != 0; first += count)
            for (int i = 0; i < count; i++)
                if (records[i].Total.Bytes != 0 || records[i].Live.Bytes != 0) Add(merged, first + i, records[i]);
        List<ProfileStack> stacks = [.. merged.Values];
        stacks.Sort(static (one, other) => (other.Live.Bytes, other.Total.Bytes)
            .CompareTo((one.Live.Bytes, one.Total.Bytes)));
        return new Profile(stacks);
    }

    /// <summary>Stacks of the same methods and lines have the same key.</summary>
    internal static string KeyOf(ProfileFrame[] frames)
    {
        StringBuilder key = new();
        foreach (ProfileFrame frame in frames)
            key.Append(frame.Module).Append('!').Append(frame.Method).Append(':').Append(frame.Line).Append('\n');
        return key.ToString();
    }

    private static void Add(Dictionary<string, ProfileStack> merged, int stack, in StackRecord record)
    {
        ProfileFrame[] frames = StackNames.Of(stack);
        string key = KeyOf(frames);
        Estimate live = record.Live, total = record.Total;
        long samples = record.LiveSamples;
        if (merged.TryGetValue(key, out ProfileStack? same))
        {
            live.Add(same.Live);
            total.Add(same.Total);
            samples += same.LiveSamples;
        }
        merged[key] = new ProfileStack(frames, live, total, samples);
    }
}
