using NativeAlloc.Pages;
using NativeAlloc.Tests.Infrastructure;
using Xunit;

namespace NativeAlloc.Tests.Pages;

/// <summary>
/// Shows that a list of frames is a list: what is put in at either end and taken out anywhere, in order both ways.
/// </summary>
public sealed unsafe class FrameListTests
{
    [Fact]
    public void A_list_behaves_as_a_list() => Properties.ForAllSequences(
        Values.Pairs(Values.OneOf("first", "last", "remove"), Values.Between(0, 15)),
        100,
        operations =>
        {
            PageFrame* frames = stackalloc PageFrame[16];
            FrameList list = FrameList.Empty;
            LinkedList<uint> oracle = new();
            foreach ((string kind, int number) in operations)
            {
                uint page = (uint)number;
                if (oracle.Contains(page))
                {
                    if (kind != "remove") continue;
                    list.Remove(frames, page);
                    oracle.Remove(page);
                }
                else if (kind == "first")
                {
                    list.AddFirst(frames, page);
                    oracle.AddFirst(page);
                }
                else if (kind == "last")
                {
                    list.AddLast(frames, page);
                    oracle.AddLast(page);
                }
                Assert.Equal((uint)oracle.Count, list.Count);
                List<uint> forwards = [], backwards = [];
                for (uint at = list.First; at != PageFrame.None; at = frames[at].Next) forwards.Add(at);
                for (uint at = list.Last; at != PageFrame.None; at = frames[at].Previous) backwards.Add(at);
                Assert.Equal(oracle, forwards);
                Assert.Equal(oracle.Reverse(), backwards);
            }
        },
        runs: 100);
}
