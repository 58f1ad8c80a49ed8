using System.Diagnostics;
using System.Globalization;
using NativeAlloc.Benchmarks.Allocators;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>
/// An allocator under the C replayer: what it does for a program with no .NET in it. The library takes the place of the
/// C library's malloc by being preloaded; without one it is glibc's own.
/// </summary>
internal sealed class NativeArm(string name, string description, CLibrary? library = null) : Arm(name, description)
{
    public override string? Missing => library?.Missing;

    /// <summary>The C replayer knows traces only.</summary>
    public override bool Supports(IWorkload workload) => workload is TraceWorkload;

    public override ProcessStartInfo CreateChild(RunRequest request)
    {
        ProcessStartInfo start =
            new(request.Replayer ?? throw new InvalidOperationException("the C replayer was not built"));
        start.ArgumentList.Add(request.StagedFile!);
        start.ArgumentList.Add(request.Threads.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinTimedPasses.ToString(CultureInfo.InvariantCulture));
        start.ArgumentList.Add(request.Policy.MinSeconds.ToString(CultureInfo.InvariantCulture));

        start.ArgumentList.Add(request.Latency ? "1" : "0");

        // The loader carries on when it cannot preload a library, so the replayer checks whose malloc it got.
        start.ArgumentList.Add(library?.FileName ?? "libc.so");
        start.Environment["LD_PRELOAD"] = library?.LoadName ?? "";
        return start;
    }
}
