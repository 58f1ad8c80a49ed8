using Spectre.Console;

namespace NativeAlloc.Benchmarks.Comparing;

/// <summary>
/// Tells how far a comparison is, on standard error: a bar where somebody is watching, else a line per measurement.
/// </summary>
internal static class ProgressDisplay
{
    /// <param name="total">How many steps there will be.</param>
    /// <param name="work">Is given what to call with a line of text after each step.</param>
    public static T Show<T>(int total, Func<Action<string>, T> work)
    {
        if (Console.IsErrorRedirected)
        {
            int done = 0;
            return work(line => Console.Error.WriteLine($"[{++done}/{total}] {line}"));
        }

        return Terminal.Error().Progress()
            .AutoClear(true)
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn(),
                new TaskDescriptionColumn())
            .Start(context =>
            {
                ProgressTask task = context.AddTask("starting", maxValue: total);
                return work(line =>
                {
                    task.Description = line.EscapeMarkup();
                    task.Increment(1);
                });
            });
    }
}
