using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using NativeAlloc.Os;
using NativeAlloc.Profiling;
using NativeAlloc.Slabs;

namespace NativeAlloc.Diagnostics;

/// <summary>One level of a stack, as people know it.</summary>
/// <param name="Method">Type and method.</param>
/// <param name="Module">The assembly; empty for native code.</param>
/// <param name="File">The source file; null where it is not known.</param>
/// <param name="Line">0 where it is not known.</param>
internal sealed record ProfileFrame(string Method, string Module, string? File, int Line);

/// <summary>
/// Turns the addresses of stacks into names of methods. A thread does so soon after a stack is new, while the profiler
/// runs: code can be unloaded later. What is asked for before that is resolved at once.
/// </summary>
internal static class StackNames
{
    private const int PeriodMilliseconds = 50;

    internal const string Native = "[native code]";

    // Held for a look or an entry only: to name a method runs code of users, handlers of loaded assemblies, which may
    // write a profile themselves.
    private static NativeLock s_lock;

    /// <summary>By stack; null where it is not resolved. Under the lock.</summary>
    private static readonly List<ProfileFrame[]?> s_stacks = [];

    /// <summary>By address. Under the lock.</summary>
    private static readonly Dictionary<nint, (ProfileFrame Frame, bool IsOwn)> s_frames = [];

    /// <summary>1 while the thread runs. By Interlocked.</summary>
    private static int s_isResolving;

    /// <summary>The levels of a stack, from the innermost on, without those of this library.</summary>
    internal static ProfileFrame[] Of(int stack)
    {
        return Known(stack, null) ?? Known(stack, Resolve(stack))!;
    }

    // The levels that are kept for a stack; those given where there are none yet, and these are kept then.
    private static ProfileFrame[]? Known(int stack, ProfileFrame[]? levels)
    {
        s_lock.Acquire();
        try
        {
            while (s_stacks.Count <= stack) s_stacks.Add(null);
            return s_stacks[stack] ??= levels;
        }
        finally
        {
            s_lock.Release();
        }
    }

    /// <summary>Has new stacks resolved on a thread of its own, as long as the profiler runs.</summary>
    internal static void BeginResolving()
    {
        if (Interlocked.Exchange(ref s_isResolving, 1) != 0) return;
        try
        {
            new Thread(Run) { IsBackground = true, Name = "NativeAlloc profiler" }.UnsafeStart();
        }
        catch (Exception error) when (error is OutOfMemoryException or ThreadStartException)
        {
            Volatile.Write(ref s_isResolving, 0); // they are resolved when the profile is written
        }
    }

    private static void Run()
    {
        StackRecord[]? seen = null;
        int next = 0;
        do
        {
            while (SampleGap.IsOn)
            {
                try
                {
                    seen ??= new StackRecord[AllocationSampler.CopyAtOnce];
                    for (int count; (count = AllocationSampler.CopyStacks(next, seen)) != 0 && !StackLines.IsBusy;)
                        for (; count != 0; count--) Of(next++);
                }
                catch (Exception)
                {
                    // Most likely the managed heap is full: later.
                }
                Thread.Sleep(PeriodMilliseconds);
            }
            // A full barrier: who starts the profiler writes and reads the same two places in the other order.
            Interlocked.Exchange(ref s_isResolving, 0);
        }
        while (SampleGap.IsOn && Interlocked.Exchange(ref s_isResolving, 1) == 0); // started again meanwhile
    }

    private static ProfileFrame[] Resolve(int stack)
    {
        List<(ProfileFrame Frame, bool IsOwn)> levels = [];
        if (StackLines.Find(stack) is { } trace)
        {
            foreach (StackFrame frame in trace.GetFrames()) levels.Add(Name(frame));
        }
        else
        {
            foreach (nint address in AllocationSampler.FramesOf(stack)) levels.Add(Name(address));
        }
        return Shorten(levels.SkipWhile(static level => level.IsOwn).Select(static level => level.Frame));
    }

    // Native levels have no names here: one stands for all that follow each other, and none for those that called
    // the first managed method.
    internal static ProfileFrame[] Shorten(IEnumerable<ProfileFrame> levels)
    {
        List<ProfileFrame> kept = [];
        foreach (ProfileFrame level in levels)
            if (level.Method != Native || kept.Count == 0 || kept[^1].Method != Native) kept.Add(level);
        if (kept.Count > 1 && kept[^1].Method == Native) kept.RemoveAt(kept.Count - 1);
        return [.. kept];
    }

    private static (ProfileFrame Frame, bool IsOwn) Name(nint address)
    {
        if (KnownAt(address, null) is { } known) return known;
        MethodBase? method = StackWalker.MethodAt(address);
        return KnownAt(address, (FrameOf(method, null, 0), IsOwn(method)))!.Value;
    }

    // The same for an address.
    private static (ProfileFrame Frame, bool IsOwn)? KnownAt(nint address, (ProfileFrame Frame, bool IsOwn)? level)
    {
        s_lock.Acquire();
        try
        {
            if (s_frames.TryGetValue(address, out (ProfileFrame, bool) known)) return known;
            if (level != null) s_frames.Add(address, level.Value);
            return level;
        }
        finally
        {
            s_lock.Release();
        }
    }

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "A method that is missing has no name.")]
    private static (ProfileFrame Frame, bool IsOwn) Name(StackFrame frame)
    {
        MethodBase? method = frame.GetMethod();
        return (FrameOf(method, frame.GetFileName(), frame.GetFileLineNumber()), IsOwn(method));
    }

    private static ProfileFrame FrameOf(MethodBase? method, string? file, int line) => method == null
        ? new ProfileFrame(Native, "", null, 0)
        : new ProfileFrame(MethodName.Of(method), method.Module.Assembly.GetName().Name ?? "", file, line);

    private static bool IsOwn(MethodBase? method) => method?.Module.Assembly == typeof(StackNames).Assembly;
}
