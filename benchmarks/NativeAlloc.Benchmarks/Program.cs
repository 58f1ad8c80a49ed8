using NativeAlloc.Benchmarks.Commands;

// The benchmarks' command line: chooses the command, and turns a mistake of the user's into one line and exit code 2.
const string Help =
    $"""
    usage:
      {CompareOptions.Usage}
      {FragmentationCommand.Usage}
      {GrowthCommand.Usage}   first touch and clearing of memory, by all the ways there are
      {ScatteredCommand.Usage}
      self-check  runs all workloads with few blocks on all allocators, and checks what they do
      list      workloads and allocators, and whether they are available
      micro     microbenchmarks; the other arguments go to BenchmarkDotNet (try: micro --list flat)
    Without arguments: a quick comparison of all bundled traces on all available allocators.
    """;

try
{
    switch (args.FirstOrDefault() ?? "compare")
    {
        case "compare" when args.Contains("--help"):
        case "--help" or "-h" or "help":
            Console.WriteLine(Help);
            return 0;
        case "compare":
            return CompareCommand.Run(args.AsSpan(Math.Min(1, args.Length)));
        case "growth":
            return GrowthCommand.Run(args.AsSpan(1));
        case "scattered":
            return ScatteredCommand.Run(args.AsSpan(1));
        case "list":
            return ListCommand.Run();
        case SelfCheckCommand.Verb:
            return SelfCheckCommand.Run(args.AsSpan(1));
        case "micro":
            return MicroCommand.Run(args[1..]);
        case "fragmentation":
            return FragmentationCommand.Run(args.AsSpan(1));
        case AgeCommand.Verb:
            return AgeCommand.Run(args.AsSpan(1));
        case GrowthCommand.MeasureVerb:
            return GrowthCommand.RunChild(args.AsSpan(1));
        case MeasureCommand.Verb:
            return MeasureCommand.Run(args.AsSpan(1));
        default:
            throw new UsageException($"unknown command '{args[0]}'; there are: compare, fragmentation, growth, list, micro, scattered, self-check");
    }
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
