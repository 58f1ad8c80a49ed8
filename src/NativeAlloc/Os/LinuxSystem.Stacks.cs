using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <content>Code made at run time, and where stacks end.</content>
internal sealed unsafe partial class LinuxSystem
{
    private const int ProtReadExecute = 1 | 4;

    internal override bool TryMakeCode(ReadOnlySpan<byte> code, out nuint address)
    {
        address = MMap(0, PageBytes, ProtReadWrite, MapPrivate | MapAnonymous, -1, 0);
        if (address == s_failed)
        {
            address = 0;
            return false;
        }
        code.CopyTo(new Span<byte>((void*)address, code.Length));
        if (ProtectCode(address, PageBytes, ProtReadExecute) == 0) return true;
        MUnmap(address, PageBytes);
        address = 0;
        return false;
    }

    internal override nuint ReadStackEnd()
    {
        const int AttributeBytes = 128; // glibc has 56 on x86-64 and 64 on arm64, musl 56
        byte* attributes = stackalloc byte[AttributeBytes];
        if (GetAttributes(ThreadSelf(), attributes) != 0) return 0;
        nuint address, bytes;
        bool known = GetStack(attributes, &address, &bytes) == 0;
        DestroyAttributes(attributes);
        return known ? address + bytes : 0;
    }

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int ProtectCode(nuint address, nuint length, int protection);
    [LibraryImport("libc", EntryPoint = "pthread_self")] private static partial nint ThreadSelf();
    [LibraryImport("libc", EntryPoint = "pthread_getattr_np")]
    private static partial int GetAttributes(nint thread, byte* attributes);
    [LibraryImport("libc", EntryPoint = "pthread_attr_getstack")]
    private static partial int GetStack(byte* attributes, nuint* address, nuint* bytes);
    [LibraryImport("libc", EntryPoint = "pthread_attr_destroy")]
    private static partial int DestroyAttributes(byte* attributes);
}
