namespace NativeAlloc.TestHost;

/// <summary>
/// Makes slabs and gives them back, again and again, until its standard input ends: a program that others look into.
/// It writes its process id when it has begun, and for each line that it reads whether the profiler runs.
/// </summary>
internal static unsafe class Busy
{
    internal const string Name = "busy";

    private const int Blocks = 2000, PauseMilliseconds = 5;

    private const nuint BlockBytes = 1000;

    internal static int Run()
    {
        using CancellationTokenSource end = new();
        new Thread(() =>
        {
            while (Console.In.ReadLine() != null) Console.WriteLine(AllocationProfiler.IsRunning);
            end.Cancel();
        })
        { IsBackground = true }.Start();
        nint[] blocks = new nint[Blocks];
        for (bool isFirst = true; !end.IsCancellationRequested; isFirst = false)
        {
            for (int i = 0; i < Blocks; i++) blocks[i] = (nint)NativeAllocator.Alloc(BlockBytes);
            foreach (nint block in blocks) NativeAllocator.Free((void*)block);
            NativeAllocator.Trim();
            if (isFirst) Console.WriteLine(Environment.ProcessId);
            end.Token.WaitHandle.WaitOne(PauseMilliseconds);
        }
        return 0;
    }
}
