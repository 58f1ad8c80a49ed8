using System.Diagnostics;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>A process at work, for tools that look into it from outside. It ends when this is disposed of.</summary>
internal sealed class BusyProcess : IDisposable
{
    private readonly Process _process;

    internal BusyProcess(params string[] arguments)
    {
        string host = typeof(Busy).Assembly.Location;
        ProcessStartInfo start = new("dotnet", [host, Busy.Name, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        foreach (string name in start.Environment.Keys.Where(name =>
            name.StartsWith("DOTNET_", StringComparison.Ordinal) && name != "DOTNET_ROOT").ToArray())
            start.Environment.Remove(name);
        _process = Process.Start(start)!;
        string? line = _process.StandardOutput.ReadLine();
        Assert.Equal(_process.Id.ToString("0", null), line);
    }

    internal int Id => _process.Id;

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(20))) _process.Kill();
        _process.Dispose();
    }
}
