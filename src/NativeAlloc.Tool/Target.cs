using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Microsoft.Diagnostics.NETCore.Client;

namespace NativeAlloc.Tool;

/// <summary>The process that the user means.</summary>
internal static class Target
{
    /// <summary>Its id.</summary>
    /// <param name="id">As given by option; null for none.</param>
    /// <param name="idOrName">As given by argument: an id, a name, or a part of the command line.</param>
    /// <exception cref="ToolException">There is none, or more than one.</exception>
    internal static int Find(int? id, string? idOrName)
    {
        if (id is { } given) return given;
        if (idOrName == null) throw new ToolException("Which process? Give its id or its name.");
        if (int.TryParse(idOrName, CultureInfo.InvariantCulture, out int number)) return number;
        List<int> found = [.. DiagnosticsClient.GetPublishedProcesses()
            .Where(process => process != Environment.ProcessId && IsCalled(process, idOrName)).Order()];
        return found.Count switch
        {
            1 => found[0],
            0 => throw new ToolException($"No .NET process of this user is called '{idOrName}'."),
            _ => throw new ToolException($"'{idOrName}' are the processes {string.Join(", ", found)}: give one's id."),
        };
    }

    private static bool IsCalled(int process, string name)
    {
        try
        {
            using Process found = Process.GetProcessById(process);
            if (string.Equals(found.ProcessName, name, StringComparison.OrdinalIgnoreCase)) return true;
            return OperatingSystem.IsLinux()
                && File.ReadAllText($"/proc/{process}/cmdline").Contains(name, StringComparison.OrdinalIgnoreCase);
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException or Win32Exception
            or IOException or UnauthorizedAccessException)
        {
            return false; // it has ended meanwhile, or is another user's
        }
    }
}
