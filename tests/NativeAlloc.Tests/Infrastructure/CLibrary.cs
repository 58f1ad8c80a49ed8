using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>On Windows the C library that tests call has another name.</summary>
internal static class CLibrary
{
    [ModuleInitializer]
    internal static void Begin()
    {
        if (OperatingSystem.IsWindows())
            NativeLibrary.SetDllImportResolver(typeof(CLibrary).Assembly,
                static (name, _, _) => name == "libc" ? NativeLibrary.Load("ucrtbase") : 0);
    }
}
