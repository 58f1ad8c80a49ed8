using NativeAlloc.Tests.Infrastructure;
using Xunit;

// The allocator is one static state of the process and the fault hook is one for all: tests run one after the other,
// and those that want threads make their own.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
[assembly: Watched]
