namespace NativeAlloc.TestHost;

/// <summary>A native library that gives a pointer that is no block to a callback. The argument says which.</summary>
internal static unsafe class BadCallback
{
    internal const string Name = "bad-callback";

    internal static int Run(string[] args)
    {
        void* stack = stackalloc byte[16];
        NativeAllocator.CorruptionHandler = message => Console.Error.WriteLine($"handler: {message}");
        switch (args[0])
        {
            case "free":
                NativeCallbacks.Free(stack);
                break;
            case "realloc":
                NativeCallbacks.Realloc(stack, 100);
                break;
            default:
                NativeCallbacks.UsableSize(stack);
                break;
        }
        return 0;
    }
}
