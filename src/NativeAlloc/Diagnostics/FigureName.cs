using System.Globalization;
using System.Text;

namespace NativeAlloc.Diagnostics;

/// <summary>Names of figures as metrics systems write them, worked out from the one name that the table has.</summary>
internal static class FigureName
{
    /// <summary><c>LiveBytes</c> as <c>live_bytes</c>.</summary>
    internal static string Snake(string name)
    {
        StringBuilder text = new();
        foreach (char c in name)
        {
            if (char.IsUpper(c) && text.Length != 0) text.Append('_');
            text.Append(char.ToLower(c, CultureInfo.InvariantCulture));
        }
        return text.ToString();
    }

    /// <summary>
    /// As Prometheus has it: <c>nativealloc_live_bytes</c>, and <c>nativealloc_purged_bytes_total</c> for a counter.
    /// </summary>
    internal static string Prometheus<T>(string prefix, Figure<T> figure) =>
        prefix + Snake(figure.Name) + (figure.Kind == FigureKind.Counter ? "_total" : "");

    /// <summary>
    /// As a <c>Meter</c> has it, whose unit is not part of the name: <c>nativealloc.memory.live</c> for bytes, and
    /// <c>nativealloc.live_blocks</c> for what is counted.
    /// </summary>
    internal static string Instrument<T>(Figure<T> figure) => figure.Unit == FigureUnit.Bytes
        ? "nativealloc.memory." + Snake(figure.Name[..^"Bytes".Length])
        : "nativealloc." + Snake(figure.Name);
}
