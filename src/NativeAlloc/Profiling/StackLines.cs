using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace NativeAlloc.Profiling;

/// <summary>
/// Stacks with files and lines, for those who ask for them: the runtime finds lines only for the stack that a thread is
/// on, so a new stack is taken a second time, as managed objects.
/// </summary>
internal static class StackLines
{
    private sealed record Node(int Stack, StackTrace Trace, Node? Next);

    /// <summary>1 if they are wanted. Any thread, by Volatile.</summary>
    private static int s_isOn;

    /// <summary>All that were taken. By Interlocked.</summary>
    private static Node? s_last;

    /// <summary>Whether the calling thread is taking one: what it allocates meanwhile is taken without.</summary>
    [ThreadStatic]
    internal static bool t_isTaking;

    /// <summary>Threads that are about to take one. By Interlocked.</summary>
    private static int s_busy;

    /// <summary>Whether a stack may be in the table whose lines are still to come.</summary>
    internal static bool IsBusy => Volatile.Read(ref s_busy) != 0;

    /// <summary>Stands before a stack is looked up in the table.</summary>
    internal static void Enter() => Interlocked.Increment(ref s_busy);

    /// <summary>Stands behind <see cref="TakeIfOn"/>.</summary>
    internal static void Leave() => Interlocked.Decrement(ref s_busy);

    internal static bool IsOn
    {
        get => Volatile.Read(ref s_isOn) != 0;
        set => Volatile.Write(ref s_isOn, value ? 1 : 0);
    }

    /// <summary>Takes the calling thread's stack for a new stack of the table, if lines are wanted.</summary>
    internal static void TakeIfOn(int stack)
    {
        if (IsOn && !t_isTaking) Take(stack);
    }

    /// <summary>The stack with its lines; null where it was taken without.</summary>
    internal static StackTrace? Find(int stack)
    {
        for (Node? node = Volatile.Read(ref s_last); node != null; node = node.Next)
            if (node.Stack == stack) return node.Trace;
        return null;
    }

    // What goes wrong here must not make an allocation fail: the stack has no lines then.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Take(int stack)
    {
        t_isTaking = true;
        try
        {
            StackTrace trace = new(fNeedFileInfo: true);
            Node? last;
            do last = Volatile.Read(ref s_last);
            while (Interlocked.CompareExchange(ref s_last, new Node(stack, trace, last), last) != last);
        }
        catch (Exception)
        {
            // No lines.
        }
        finally
        {
            t_isTaking = false;
        }
    }
}
