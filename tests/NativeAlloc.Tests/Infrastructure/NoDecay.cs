using System.Runtime.CompilerServices;
using NativeAlloc.Pages;
using NativeAlloc.Release;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// In the tests' process nothing goes back by itself: a test that looks at free memory would find less of it at times.
/// Those of the decay end its periods themselves.
/// </summary>
internal static class NoDecay
{
    [ModuleInitializer]
    internal static void Begin() => Decay.Configure(Decay.Never, PageLayer.CapPages);
}
