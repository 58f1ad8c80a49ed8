using NativeAlloc.Common;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Common;

/// <summary>Shows that a low-water mark is the fewest that there were since it was read last.</summary>
public sealed class LowWaterTests
{
    [Fact]
    public void The_mark_is_the_fewest_since_it_was_read() => Properties.ForAllSequences(
        Values.Between(-3, 4), // taken or given so many; 4 reads
        60,
        operations =>
        {
            LowWater mark = default;
            ulong count = 0, least = 0;
            foreach (int operation in operations)
            {
                if (operation == 4)
                {
                    Assert.Equal(least, mark.ReadAndReset(count));
                    least = count;
                    continue;
                }
                count = operation < 0 ? count - Math.Min(count, (ulong)-operation) : count + (ulong)operation;
                if (operation < 0) mark.Note(count);
                least = Math.Min(least, count);
                Assert.Equal(least, mark.Least);
            }
        });
}
