using System.Runtime.CompilerServices;
using NativeAlloc.Common;

namespace NativeAlloc.Os;

/// <summary>
/// The system that this process runs on, chosen once: a constant to the JIT, which then knows each callee.
/// </summary>
internal static class Platform
{
    /// <summary>
    /// Set by tests, before anything else, in a process of their own: the system then counts as unsupported.
    /// </summary>
    internal const string UnsupportedSwitch = "NativeAlloc.UnsupportedSystem";

    /// <summary>
    /// Set by tests likewise: Linux then charges commit and moves no memory, as other systems do.
    /// </summary>
    internal const string AsOthersSwitch = "NativeAlloc.LinuxAsOtherSystems";

    internal static readonly SystemContract Current = Choose();

    /// <inheritdoc cref="SystemContract.ChargesCommit"/>
    /// <remarks>A constant to the JIT, as the next.</remarks>
    internal static readonly bool ChargesCommit = Current.ChargesCommit;

    /// <inheritdoc cref="SystemContract.MovesMemory"/>
    internal static readonly bool MovesMemory = Current.MovesMemory;

    /// <summary>By Interlocked and Volatile.</summary>
    private static long s_calls;

    /// <summary>
    /// System calls made so far, for the statistics. They are rare, so one shared counter does no harm.
    /// </summary>
    internal static long Calls => Volatile.Read(ref s_calls);

    /// <summary>Throws where this library does not run. Each public member asks before it does anything.</summary>
    /// <exception cref="PlatformNotSupportedException">There is no class for this system, or it has 32
    /// bits.</exception>
    internal static void ThrowIfUnsupported()
    {
        if (Current is UnsupportedSystem) ThrowHelper.ThrowPlatformNotSupported();
    }

    /// <summary>Counts a call; false where a test wants it to fail.</summary>
    internal static bool Enter(OsCall call)
    {
        SchedulePoint.Reach();
        CountCall();
        return !OsFaults.Inject(call);
    }

    /// <summary>Counts a call that cannot fail.</summary>
    internal static void CountCall() => Interlocked.Increment(ref s_calls);

    private static SystemContract Choose()
    {
        if (IsSet(UnsupportedSwitch) || !Environment.Is64BitProcess) return Unsupported();
        return OperatingSystem.IsLinux() ? new LinuxSystem(asOthers: IsSet(AsOthersSwitch)) : ChooseOther();
    }

    // A method of its own: the runtime loads the classes that a method names when it is first called, and on Linux no
    // first block is to wait for those of other systems.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static SystemContract ChooseOther()
    {
        if (OperatingSystem.IsMacOS()) return new MacSystem();
        return OperatingSystem.IsWindows() ? new WindowsSystem() : new UnsupportedSystem();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static UnsupportedSystem Unsupported() => new();

    private static bool IsSet(string name) => AppContext.TryGetSwitch(name, out bool isSet) && isSet;
}
