using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
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

    /// <summary>The number of the calling thread's stack; 0 where the managed heap has no room for it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    internal static int Capture()
    {
        try
        {
            StackTrace stack = new(1, fNeedFileInfo: false);
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
        catch (OutOfMemoryException)
        {
            return 0;
        }
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
