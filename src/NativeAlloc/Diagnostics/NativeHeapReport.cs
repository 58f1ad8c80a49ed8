using System.Globalization;
using NativeAlloc.Common;
using NativeAlloc.Diagnostics;
using NativeAlloc.Os;

namespace NativeAlloc;

/// <summary>
/// The heap of the process's C library, which this library is not: what native libraries hold there, and what glibc
/// keeps though nobody uses it. Nothing here is read or changed unless it is asked for.
/// </summary>
/// <remarks>
/// <para>On Linux with glibc 2.33 or later; elsewhere <see cref="IsSupported"/> is false. Any thread may call all
/// members. To read the figures, glibc looks through its free lists, and keeps threads that allocate from it
/// waiting: some milliseconds where much is free.</para>
/// <para>With the option <c>NativeHeap</c> the figures are also part of <see cref="AllocatorReport.WriteHtmlReport"/>,
/// and <see cref="Trim"/> is called when this library's own memory goes back.</para>
/// </remarks>
public static class NativeHeapReport
{
    /// <summary>Whether this process has a C library whose heap can be read.</summary>
    public static bool IsSupported => Platform.Current.HasNativeHeap;

    /// <summary>Reads the figures (<c>mallinfo2</c>, <c>malloc_info</c>).</summary>
    /// <returns>What the heap has at this moment, all of its arenas together.</returns>
    /// <exception cref="PlatformNotSupportedException">There is no such heap.</exception>
    public static NativeHeapFigures Read()
    {
        if (!Platform.Current.TryReadNativeHeap(out NativeHeapInfo info)) ThrowHelper.ThrowNoNativeHeap();
        return new NativeHeapFigures
        {
            SystemBytes = info.SystemBytes,
            MappedBytes = info.MappedBytes,
            MappedBlocks = info.MappedBlocks,
            FreeBytes = info.FreeBytes,
            Arenas = info.Arenas,
        };
    }

    /// <summary>Writes the figures, one to a line.</summary>
    /// <param name="writer">Where to.</param>
    /// <exception cref="ArgumentNullException">There is no writer.</exception>
    /// <exception cref="PlatformNotSupportedException">There is no such heap.</exception>
    public static void Write(TextWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        NativeHeapFigures figures = Read();
        writer.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            glibc's heap: {TopWriter.Size((long)figures.LiveBytes)} in blocks; {figures.WastePercent:0} % of all is free
            in arenas    {TopWriter.Size((long)figures.SystemBytes),12}, of {figures.Arenas} arenas
            of it free   {TopWriter.Size((long)figures.FreeBytes),12}, with memory behind it or not
            mapped       {TopWriter.Size((long)figures.MappedBytes),12}, in {figures.MappedBlocks} blocks
            """));
    }

    /// <summary>
    /// Has glibc give back what it keeps free, between blocks that are in use, too (<c>malloc_trim</c>).
    /// </summary>
    /// <returns>Whether it gave anything back; false where there is no such heap.</returns>
    public static bool Trim() => Platform.Current.TryTrimNativeHeap();

    /// <summary>The same where the option says so.</summary>
    internal static void TrimIfWanted()
    {
        if (Options.NativeHeap) Trim();
    }
}
