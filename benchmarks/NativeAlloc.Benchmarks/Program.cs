using NativeAlloc.Benchmarks.Commands;

// The benchmarks' entry: a mistake of the user's becomes one line on standard error and exit code 2.
try
{
    return CommandTree.Run(args);
}
catch (UsageException e)
{
    Console.Error.WriteLine($"error: {e.Message}");
    return 2;
}
catch (Exception e) when (e is IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"error: {e.Message}");
    return 1;
}
