using System.Diagnostics;
using Xunit;

namespace NativeAlloc.ClientTests;

/// <summary>
/// Runs libraries that nobody here wrote on native memory, each in a process of its own as their allocators are chosen
/// once for a process, and sees that the work is right and nothing is left.
/// </summary>
public sealed class ClientTests
{
    private const int NotInstalled = 3;

    [Theory]
    [InlineData("sqlite")]
    [InlineData("lua")]
    [InlineData("openssl")]
    [InlineData("zlib")]
    [InlineData("arrow")]
    [InlineData("imagesharp")]
    [InlineData("kestrel")]
    [InlineData("onnxruntime")]
    public void A_library_does_its_work_on_native_memory(string client)
    {
        ProcessStartInfo start = new("dotnet",
            [Path.Combine(AppContext.BaseDirectory, "NativeAlloc.Clients.dll"), client, "native", "1"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.SkipWhen(process.ExitCode == NotInstalled, output.Trim());
#pragma warning disable xUnit1031 // the process has ended
        Assert.True(process.ExitCode == 0, $"it ended with {process.ExitCode}\n{output}{errors.Result}");
#pragma warning restore xUnit1031
        Assert.Contains($"row: {client} native ", output, StringComparison.Ordinal);
    }
}
