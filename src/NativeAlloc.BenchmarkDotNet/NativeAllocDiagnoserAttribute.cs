using BenchmarkDotNet.Configs;

namespace NativeAlloc.BenchmarkDotNet;

/// <summary>
/// Adds four columns to the benchmarks of a class: blocks and bytes that an operation allocates from NativeAlloc, and
/// blocks and bytes that it leaves behind.
/// </summary>
/// <remarks>
/// <para>The operations are counted in the process of the benchmark, on its thread, in an iteration of its own after
/// those that are timed: so nothing that is timed is slower, and each allocation is counted.</para>
/// <para>Allocated are blocks of <see cref="NativeAllocator"/> and of all that is built on it; a
/// <see cref="NativeAllocator.Realloc"/> that moves a block, or adds pages to it where it stands, allocates one of the
/// new size. Objects of a <see cref="SlabCache"/>, pages of <see cref="PageAllocator"/> and areas of
/// <see cref="Vmalloc"/> count among what is left behind, and are not seen when they are allocated.</para>
/// </remarks>
[AttributeUsage(AttributeTargets.Class)]
public sealed class NativeAllocDiagnoserAttribute : Attribute, IConfigSource
{
    /// <inheritdoc/>
    public IConfig Config { get; } = ManualConfig.CreateEmpty().AddNativeAllocDiagnoser();
}
