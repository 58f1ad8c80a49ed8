using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NativeAlloc.Clients;

/// <summary>
/// ONNX Runtime, whose environment takes an allocator (<c>RegisterAllocator</c>). Sessions that are made with
/// <c>session.use_env_allocators</c> hold their weights in its memory, and the tensors of each run.
/// </summary>
internal static unsafe class OnnxClient
{
    private const nuint Alignment = 64; // what its kernels are written for: a register of AVX-512

    private static void* s_memoryInfo;
    private static long s_taken;
    private static int s_refuse; // by Volatile: 1 while there is to be no memory

    internal static void Run(bool native, int scale)
    {
        if (!OnnxRuntime.TryLoad()) Program.NotInstalled("ONNX Runtime (build with -p:WithOnnxRuntime=true)");
        void* environment = OnnxRuntime.CreateEnvironment();
        s_memoryInfo = OnnxRuntime.CreateMemoryInfo();
        OnnxAllocator allocator = new()
        {
            Version = OnnxRuntime.Version,
            Alloc = &Allocate,
            Free = &Free,
            Info = &Info,
            Reserve = &Allocate,
        };
        if (native)
        {
            OnnxRuntime.Register(environment, &allocator);
            Refuse(environment);
        }
        OnnxModel model = new(512, 4);
        byte[] bytes = model.ToBytes();
        for (int round = 0; round < scale; round++) Work(environment, model, bytes, native);
        if (native) OnnxRuntime.Unregister(environment, s_memoryInfo);
        OnnxRuntime.ReleaseMemoryInfo(s_memoryInfo);
        OnnxRuntime.ReleaseEnvironment(environment);
        if (native) Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "ONNX Runtime left blocks");
    }

    // As a server does: a session is made, two threads run it on inputs of all sizes, and it ends.
    private static void Work(void* environment, OnnxModel model, byte[] bytes, bool native)
    {
        void* session = OnnxRuntime.CreateSession(environment, bytes, native, out string? error);
        Program.Check(error == null, $"no session: {error}");
        long held = (long)NativeAllocator.GetStatistics().LiveBytes, taken = Volatile.Read(ref s_taken);
        float[] input = model.Input(256), output = model.Output();
        nint shared = (nint)session;
        Parallel.For(0, 40, new ParallelOptions { MaxDegreeOfParallelism = 2 },
            i => Infer((void*)shared, model, input, output, 1 + i * 97 % 256));
        OnnxRuntime.ReleaseSession(session);
        if (!native) return;
        Program.Check(held >= model.WeightBytes, "the weights are elsewhere");
        Program.Check(Volatile.Read(ref s_taken) - taken >= 40, "the tensors are elsewhere");
    }

    private static void Infer(void* session, OnnxModel model, float[] input, float[] output, int rows)
    {
        fixed (float* start = input)
        {
            void* value = OnnxRuntime.Run(session, s_memoryInfo, start, rows, model.Width);
            ReadOnlySpan<float> got = OnnxRuntime.Floats(value, rows * model.Width);
            for (int row = 0; row < rows; row += OnnxModel.DifferentRows)
            {
                ReadOnlySpan<float> some = got.Slice(row * model.Width, Math.Min(rows - row, OnnxModel.DifferentRows)
                    * model.Width);
                Program.Check(some.SequenceEqual(output.AsSpan(0, some.Length)), $"row {row} of {rows} is another");
            }
            OnnxRuntime.ReleaseValue(value);
        }
    }

    // Without memory no session is made, which is said as an error; nothing is held, and the next one is made.
    private static void Refuse(void* environment)
    {
        byte[] bytes = new OnnxModel(32, 2).ToBytes();
        Volatile.Write(ref s_refuse, 1);
        void* session = OnnxRuntime.CreateSession(environment, bytes, native: true, out string? error);
        Volatile.Write(ref s_refuse, 0);
        Program.Check(error != null && error.Contains("allocation failed", StringComparison.Ordinal) && session == null,
            $"a session without memory: {error}");
        Program.Check(NativeAllocator.GetStatistics().LiveBlocks == 0, "the refused session left blocks");
        session = OnnxRuntime.CreateSession(environment, bytes, native: true, out error);
        Program.Check(error == null, $"no session after the refusal: {error}");
        OnnxRuntime.ReleaseSession(session);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Allocate(OnnxAllocator* self, nuint bytes)
    {
        if (bytes == 0 || Volatile.Read(ref s_refuse) != 0) return null;
        Interlocked.Increment(ref s_taken);
        return NativeCallbacks.AlignedAlloc(Alignment, bytes);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Free(OnnxAllocator* self, void* block) => NativeCallbacks.Free(block);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void* Info(OnnxAllocator* self) => s_memoryInfo;
}

/// <summary>OrtAllocator, as version 18 of the interface has it.</summary>
internal unsafe struct OnnxAllocator
{
    internal uint Version;
    internal delegate* unmanaged[Cdecl]<OnnxAllocator*, nuint, void*> Alloc;
    internal delegate* unmanaged[Cdecl]<OnnxAllocator*, void*, void> Free;
    internal delegate* unmanaged[Cdecl]<OnnxAllocator*, void*> Info;
    internal delegate* unmanaged[Cdecl]<OnnxAllocator*, nuint, void*> Reserve;
}
