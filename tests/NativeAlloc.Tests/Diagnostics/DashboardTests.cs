using System.Text.Json;
using System.Text.RegularExpressions;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Diagnostics;

/// <summary>
/// Proves that the dashboard in the docs shows figures that there are, and says what each panel means.
/// </summary>
public sealed partial class DashboardTests
{
    [Fact]
    public void Each_panel_says_what_it_shows_and_asks_for_metrics_that_the_library_writes()
    {
        using StringWriter text = new();
        AllocatorReport.WritePrometheus(text);
        HashSet<string> written = [.. TypeLine().Matches(text.ToString()).Select(match => match.Groups[1].Value)];
        using JsonDocument dashboard = JsonDocument.Parse(
            File.ReadAllText(RepositoryTree.PathOf("docs", "grafana", "nativealloc.json")));
        HashSet<int> numbers = [];
        int metrics = 0;
        foreach (JsonElement panel in dashboard.RootElement.GetProperty("panels").EnumerateArray())
        {
            Assert.True(numbers.Add(panel.GetProperty("id").GetInt32()));
            Assert.NotEqual("", panel.GetProperty("title").GetString());
            Assert.NotEqual("", panel.GetProperty("description").GetString());
            foreach (JsonElement target in panel.GetProperty("targets").EnumerateArray())
            {
                foreach (Match name in Metric().Matches(target.GetProperty("expr").GetString()!))
                {
                    Assert.Contains(name.Value, written);
                    metrics++;
                }
            }
        }
        Assert.InRange(metrics, numbers.Count, 100);
    }

    [GeneratedRegex(@"(?m)^# TYPE (\S+) ")]
    private static partial Regex TypeLine();

    [GeneratedRegex("nativealloc_[a-z_]+")]
    private static partial Regex Metric();
}
