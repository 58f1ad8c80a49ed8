using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using NativeAlloc.Os;

namespace NativeAlloc.Checking;

/// <summary>
/// Call stacks by number: each different one is kept once. What comes here first decides how a stack reads; its text is
/// made only when somebody asks.
/// </summary>
internal static class CallStacks
{
    // Beyond so many different stacks new ones are unknown: memory stays bounded.
    private const int MostFrames = 48, MostStacks = 1 << 16;

    private static NativeLock s_lock;

    /// <summary>Numbers by a hash of the frames, and the stacks by number. Under the lock.</summary>
    private static readonly Dictionary<ulong, int> s_numbers = [];
    private static readonly List<StackTrace?> s_stacks = [null];

    /// <summary>
    /// Numbers by a hash of return addresses; <see cref="Partial"/> for addresses that other stacks may share. Under
    /// the lock.
    /// </summary>
    private static readonly Dictionary<ulong, int> s_numbersOfAddresses = [];

    private const int Partial = -1;

    /// <summary>The number of the calling thread's stack; 0 where the managed heap has no room for it.</summary>
    /// <remarks>
    /// The runtime takes some microseconds to tell a stack. The return addresses, which frame pointers lead to, are
    /// there in a tenth of that, and say which stack it is, if they lead to its outermost method: native code between
    /// managed methods may end the walk, and so does a method that is being optimised while it runs. So the runtime is
    /// asked once for each list of addresses. Where code is unloaded and other code takes its place, a stack of the new
    /// code may show the names of the old.
    /// </remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static unsafe int Capture()
    {
        try
        {
            nint* frames = stackalloc nint[StackWalker.MostFrames];
            ReadOnlySpan<nint> addresses = new(frames, StackWalker.Take(frames));
            ulong key = StackWalker.HashOf(addresses);
            int number = Find(key);
            if (number > 0) return number;
            StackTrace stack = new(1, fNeedFileInfo: false);
            int ofStack = NumberOf(stack);
            if (number == 0) Add(key, LeadToEnd(addresses, stack) ? ofStack : Partial);
            return ofStack;
        }
        catch (OutOfMemoryException)
        {
            return 0;
        }
    }

    private static int NumberOf(StackTrace stack)
    {
        ulong hash = HashOf(stack);
        s_lock.Acquire();
        try
        {
            if (s_numbers.TryGetValue(hash, out int number)) return number;
            if (s_stacks.Count == MostStacks) return 0;
            s_stacks.Add(stack);
            number = s_stacks.Count - 1;
            s_numbers.Add(hash, number);
            return number;
        }
        finally
        {
            s_lock.Release();
        }
    }

    // 0 where it is not there.
    private static int Find(ulong key)
    {
        s_lock.Acquire();
        bool isThere = s_numbersOfAddresses.TryGetValue(key, out int number);
        s_lock.Release();
        return isThere ? number : 0;
    }

    private static void Add(ulong key, int number)
    {
        if (number == 0) return;
        s_lock.Acquire();
        try
        {
            if (s_numbersOfAddresses.Count < MostStacks) s_numbersOfAddresses[key] = number;
        }
        finally
        {
            s_lock.Release();
        }
    }

    // Whether the outermost method of a stack is among the addresses, or there are so many that what is further out is
    // not shown.
    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Only tells methods apart.")]
    private static bool LeadToEnd(ReadOnlySpan<nint> addresses, StackTrace stack)
    {
        if (addresses.Length == StackWalker.MostFrames) return true;
        MethodBase? outermost = null, reached = null;
        for (int i = stack.FrameCount - 1; i >= 0 && outermost == null; i--) outermost = stack.GetFrame(i)?.GetMethod();
        for (int i = addresses.Length - 1; i >= 0 && reached == null; i--) reached = StackWalker.MethodAt(addresses[i]);
        return outermost != null && reached != null && reached.Module == outermost.Module
            && reached.MetadataToken == outermost.MetadataToken;
    }

    /// <summary>A line for each frame, without those of this library that lie innermost.</summary>
    internal static string TextOf(int number)
    {
        s_lock.Acquire();
        StackTrace? stack = number < s_stacks.Count ? s_stacks[number] : null;
        s_lock.Release();
        if (stack == null) return "   (unknown)\n";
        StringBuilder text = new();
        string own = typeof(CallStacks).Assembly.GetName().Name!;
        bool isInside = true;
        for (int i = 0; i < Math.Min(stack.FrameCount, MostFrames); i++)
        {
            if (DiagnosticMethodInfo.Create(stack.GetFrame(i)!) is not { } method) continue;
            string assembly = method.DeclaringAssemblyName;
            isInside &= assembly == own || assembly.StartsWith(own + ",", StringComparison.Ordinal);
            if (!isInside) text.Append("   at ").Append(method.DeclaringTypeName).Append('.').AppendLine(method.Name);
        }
        return text.Length == 0 ? "   (inside the allocator)\n" : text.ToString();
    }

    [UnconditionalSuppressMessage("Trimming", "IL2026", Justification = "Only tells methods apart.")]
    private static ulong HashOf(StackTrace stack)
    {
        const ulong Prime = 0x0000_0100_0000_01B3; // FNV-1a
        ulong hash = 0xCBF2_9CE4_8422_2325;
        for (int i = 0; i < Math.Min(stack.FrameCount, MostFrames); i++)
        {
            StackFrame frame = stack.GetFrame(i)!;
            hash = unchecked((hash ^ (ulong)(frame.GetMethod()?.GetHashCode() ?? 0)) * Prime);
            hash = unchecked((hash ^ (ulong)frame.GetILOffset()) * Prime);
        }
        return hash;
    }
}
