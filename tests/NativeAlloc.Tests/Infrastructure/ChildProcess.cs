using System.Diagnostics;
using System.Text;
using NativeAlloc.TestHost;
using Xunit;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>Runs a program to its end and keeps what it wrote.</summary>
internal sealed record ChildProcess(int ExitCode, string Output, string Errors)
{
    // A process that takes longer hangs. It is killed before the watchdog ends this process and leaves it behind.
    private static readonly TimeSpan s_longest = Watchdog.LongestStandstill - TimeSpan.FromMinutes(1);

    /// <summary>Starts a scenario of the test host in a process of its own.</summary>
    internal static ChildProcess RunHost(string scenario, params string[] arguments) =>
        RunHost([], scenario, arguments);

    /// <summary>The same with environment variables for the runtime.</summary>
    internal static ChildProcess RunHost((string Name, string Value)[] variables, string scenario,
        params string[] arguments)
    {
        // A process that is to die should do so at once and leave nothing behind.
        variables = [.. variables, ("DOTNET_DbgEnableMiniDump", "0")];
        string host = typeof(FaultScenario).Assembly.Location;
        if (!OperatingSystem.IsWindows())
            return RunDotnet(AppContext.BaseDirectory, variables, [host, scenario, .. arguments]);
        // There the tests are published with their own runtime.
        if (Environment.GetEnvironmentVariable(CodePages) is { } value) variables = [.. variables, (CodePages, value)];
        return RunProgram(
            Path.ChangeExtension(host, ".exe"), AppContext.BaseDirectory, variables, [scenario, .. arguments]);
    }

    // Whether the runtime maps its code twice: not under wine.
    private const string CodePages = "DOTNET_EnableWriteXorExecute";

    /// <summary>Runs <c>dotnet</c> with these arguments.</summary>
    internal static ChildProcess RunDotnet(string directory, (string Name, string Value)[] variables,
        params string[] arguments) => RunProgram("dotnet", directory, variables, arguments);

    /// <summary>Runs a program with these arguments.</summary>
    internal static ChildProcess RunProgram(string program, string directory,
        (string Name, string Value)[] variables, params string[] arguments) =>
        RunProgram(program, directory, variables, static _ => { }, arguments);

    /// <summary>The same, with something that happens while it runs; the process may end before.</summary>
    internal static ChildProcess RunProgram(string program, string directory,
        (string Name, string Value)[] variables, Action<Process> meanwhile, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        RemoveInherited(start);
        foreach ((string name, string value) in variables) start.Environment[name] = value;
        Watchdog.Progress();
        using Process process =
            Process.Start(start) ?? throw new InvalidOperationException($"{program} could not be started.");
        process.StandardInput.Close();
        StringBuilder output = new(), errors = new();
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(errors, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        meanwhile(process);
        if (!process.WaitForExit(s_longest))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException(
                $"{program} {string.Join(' ', arguments)} did not end within {s_longest}. It wrote:\n{output}{errors}");
        }
        process.WaitForExit(); // also for what is still in the pipes
        return new ChildProcess(process.ExitCode, output.ToString(), errors.ToString());
    }

    /// <summary>Fails the test, with all the process wrote, if it did not end with 0.</summary>
    internal ChildProcess ShouldSucceed()
    {
        Assert.True(ExitCode == 0, $"The process ended with {ExitCode}.\n{Output}{Errors}");
        return this;
    }

    // What the test runner sets for itself would make a nested build or test host behave differently from one that a
    // user starts.
    private static void RemoveInherited(ProcessStartInfo start)
    {
        string[] prefixes =
            ["MSBUILD", "DOTNET_", "NUGET_", "TESTINGPLATFORM", "VSTEST", "COREHOST_", "COMPlus_", "XUNIT"];
        string[] kept = ["DOTNET_ROOT", "DOTNET_CLI_HOME", "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"];
        foreach (string name in start.Environment.Keys.ToArray())
        {
            bool inherited = prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase));
            if (inherited && !kept.Contains(name, StringComparer.OrdinalIgnoreCase)) start.Environment.Remove(name);
        }
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1"; // no build server stays behind
    }

    private static void Append(StringBuilder text, string? line)
    {
        if (line == null) return;
        lock (text) text.AppendLine(line);
    }
}
