using System.Runtime.InteropServices;

namespace NativeAlloc.Os;

/// <summary>A range of addresses, as Linux takes many of them in one call (struct iovec).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AddressRange
{
    public nuint Address;

    public nuint Bytes;
}
