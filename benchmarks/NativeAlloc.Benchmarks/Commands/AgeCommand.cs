using System.CommandLine;
using NativeAlloc.Benchmarks.Fragmentation;

namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// What children of <c>fragmentation</c> are started with: one heap, and what became of it on standard output.
/// </summary>
internal static class AgeCommand
{
    public const string Verb = "age";

    private const int ArgumentCount = 7;

    public static Command Create()
    {
        Argument<string[]> plan = new("plan");
        Command command = new(Verb) { plan };
        command.Hidden = true;
        command.SetAction(result => Run(result.GetRequiredValue(plan)));
        return command;
    }

    private static int Run(string[] arguments)
    {
        if (arguments.Length != ArgumentCount)
            throw new UsageException($"'{Verb}' is for fragmentation's own use");
        Console.WriteLine(AgeingHeap.Run(AgeingPlan.Parse(arguments)).ToJson());
        return 0;
    }
}
