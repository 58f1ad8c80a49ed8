using System.Diagnostics;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>A process at work, for tools that look into it from outside. It ends when this is disposed of.</summary>
internal sealed class BusyProcess : IDisposable
{
    private readonly Process _process;

    /// <param name="scenario">One that writes its process id when it has begun, and ends with its input.</param>
    internal BusyProcess(string scenario = Busy.Name)
    {
        string host = typeof(Busy).Assembly.Location;
        ProcessStartInfo start = new("dotnet", [host, scenario])
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

    /// <summary>Whether its profiler runs.</summary>
    internal bool IsProfiled()
    {
        _process.StandardInput.WriteLine();
        _process.StandardInput.Flush();
        return bool.Parse(_process.StandardOutput.ReadLine()!);
    }

    /// <summary>Sends it a signal.</summary>
    internal void Signal(string name) =>
        ChildProcess.RunProgram("sh", AppContext.BaseDirectory, [], "-c", $"kill -{name} {Id}").ShouldSucceed();

    /// <summary>Ends it, and gives what it wrote and nobody read.</summary>
    internal string End()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(20))) _process.Kill();
        return _process.StandardOutput.ReadToEnd();
    }

    public void Dispose()
    {
        End();
        _process.Dispose();
    }
}
