using System.Text.Json;

namespace NativeAlloc.Benchmarks.Fragmentation;

/// <summary>What became of an <see cref="AgeingHeap"/>; its process prints it as a line of JSON.</summary>
/// <param name="PoolPages">Pages online once the pool was made.</param>
/// <param name="LivePages">Pages allocated at the end of the steps.</param>
/// <param name="GrownPages">Pages that came online after that; none should have.</param>
/// <param name="FailedRequests">Requests that were not served.</param>
/// <param name="AtOccupancy">The free blocks after the steps.</param>
/// <param name="AfterReclaim">The free blocks after the reclaimable pages were given back.</param>
internal sealed record AgeingResult(
    long PoolPages, long LivePages, long GrownPages, long FailedRequests, AgeingMoment AtOccupancy,
    AgeingMoment AfterReclaim)
{
    public string ToJson() => JsonSerializer.Serialize(this, JsonSerializerOptions.Web);

    /// <exception cref="JsonException">The text is no result.</exception>
    public static AgeingResult Parse(string json) =>
        JsonSerializer.Deserialize<AgeingResult>(json, JsonSerializerOptions.Web)
        ?? throw new JsonException("no result");
}

/// <summary>A look at the heap.</summary>
/// <param name="Free">The free blocks.</param>
/// <param name="Pageblocks">Pageblocks by migrate type: unmovable, reclaimable, movable.</param>
/// <param name="TriesServed">How many blocks of 16 pages were had from free pages, all held at the same time.</param>
internal sealed record AgeingMoment(FreeBlockCounts Free, long[] Pageblocks, int TriesServed);
