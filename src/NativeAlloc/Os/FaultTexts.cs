using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>
/// Writes a text to standard error when an access to a range of addresses fails, before the runtime or the system ends
/// the process. Each page of the range has a text of its own, prepared beforehand.
/// </summary>
/// <remarks>
/// The handler of the signal is a few bytes of machine code for Linux on x64, as managed code cannot run in one. It
/// compares the address with the range, writes the text of its page, and goes on to the handler that was there before:
/// the runtime's. So what the runtime does with a fault stays as it is.
/// <code>
///     rax = si_addr - address           not in the range: go on
///     rax = texts + (rax / page bytes) * text bytes
///     write(2, rax + 8, *rax)           with rdi, rsi and rdx kept
///     jump to the handler before
/// </code>
/// </remarks>
internal static unsafe partial class FaultTexts
{
    /// <summary>Bytes of a page's text: first its length, in 8 bytes.</summary>
    internal const int TextBytes = 2048, HeaderBytes = sizeof(long);

    private const int SignalOfFault = 11, ActionBytes = 152;

    // Offsets of the five values in the code.
    private const int AddressAt = 6, BytesAt = 19, PageShiftAt = 35, TextsAt = 42, BeforeAt = 80;

    private static ReadOnlySpan<byte> Code =>
    [
        0x48, 0x8B, 0x46, 0x10, // mov rax, [rsi+16]
        0x48, 0xB9, 0, 0, 0, 0, 0, 0, 0, 0, // mov rcx, address
        0x48, 0x29, 0xC8, // sub rax, rcx
        0x48, 0xB9, 0, 0, 0, 0, 0, 0, 0, 0, // mov rcx, bytes
        0x48, 0x39, 0xC8, // cmp rax, rcx
        0x73, 0x2E, // jae before
        0x48, 0xC1, 0xE8, 0, // shr rax, page shift
        0x48, 0xC1, 0xE0, 11, // shl rax, 11
        0x48, 0xB9, 0, 0, 0, 0, 0, 0, 0, 0, // mov rcx, texts
        0x48, 0x01, 0xC8, // add rax, rcx
        0x57, 0x56, 0x52, // push rdi, rsi, rdx
        0x48, 0x8D, 0x70, 0x08, // lea rsi, [rax+8]
        0x48, 0x8B, 0x10, // mov rdx, [rax]
        0xBF, 0x02, 0, 0, 0, // mov edi, 2
        0xB8, 0x01, 0, 0, 0, // mov eax, 1 (write)
        0x0F, 0x05, // syscall
        0x5A, 0x5E, 0x5F, // pop rdx, rsi, rdi
        0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, // before: mov rax, the handler before
        0xFF, 0xE0, // jmp rax
    ];

    /// <summary>Arranges it, for good. False where that cannot be done here.</summary>
    /// <param name="address">Where the range begins.</param>
    /// <param name="bytes">Bytes of the range.</param>
    /// <param name="pageShift">How large a page is.</param>
    /// <param name="texts">A text for each page.</param>
    internal static bool TryInstall(nuint address, nuint bytes, int pageShift, nuint texts)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return false;
        byte* before = stackalloc byte[ActionBytes], action = stackalloc byte[ActionBytes];
        if (SigAction(SignalOfFault, null, before) != 0) return false;
        nint handler = *(nint*)before;
        if (handler is 0 or 1) return false; // the runtime has one; without it there is nothing to go on to
        Span<byte> code = stackalloc byte[Code.Length]; // the caller may hold a lock, so no managed memory
        Code.CopyTo(code);
        BinaryPrimitives.WriteUInt64LittleEndian(code[AddressAt..], address);
        BinaryPrimitives.WriteUInt64LittleEndian(code[BytesAt..], bytes);
        code[PageShiftAt] = (byte)pageShift;
        BinaryPrimitives.WriteUInt64LittleEndian(code[TextsAt..], texts);
        BinaryPrimitives.WriteInt64LittleEndian(code[BeforeAt..], handler);
        nuint page = (nuint)Environment.SystemPageSize;
        if (!VirtualMemory.TryReserve(page, page, out nuint place)) return false;
        if (!VirtualMemory.TryCommit(place, page)) return false;
        code.CopyTo(new Span<byte>((void*)place, code.Length));
        const int ReadAndExecute = 5;
        if (MProtect(place, page, ReadAndExecute) != 0) return false;
        new Span<byte>(before, ActionBytes).CopyTo(new Span<byte>(action, ActionBytes)); // its flags and its mask
        *(nuint*)action = place;
        return SigAction(SignalOfFault, action, null) == 0;
    }

    [LibraryImport("libc", EntryPoint = "sigaction")]
    private static partial int SigAction(int signal, byte* action, byte* before);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int MProtect(nuint address, nuint length, int protection);
}
