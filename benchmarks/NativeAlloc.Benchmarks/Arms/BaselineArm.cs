using System.Diagnostics;
using NativeAlloc.Benchmarks.Commands;
using NativeAlloc.Benchmarks.Measuring;
using NativeAlloc.Benchmarks.Workloads;

namespace NativeAlloc.Benchmarks.Arms;

/// <summary>
/// The library of another build: the <c>nativealloc</c> arm of the benchmarks in another folder, so that two builds can
/// be compared in one run whose arms take turns.
/// </summary>
internal sealed class BaselineArm(string folder, ManagedArm arm)
    : Arm(ArmRegistry.Reference + "-base", $"the library of the build in {folder}")
{
    public override string? Missing => ThisProgram.IsIn(folder) ? null : $"'{folder}' has no build of the benchmarks";

    public override bool Supports(IWorkload workload) => arm.Supports(workload);

    public override ProcessStartInfo CreateChild(RunRequest request)
    {
        ProcessStartInfo start = ThisProgram.CreateChild(MeasureCommand.Verb, folder);
        arm.AddArguments(start, request);
        return start;
    }
}
