using System.Runtime.InteropServices;
using System.Text;

namespace NativeAlloc.Clients;

/// <summary>
/// What the client calls of ONNX Runtime's C interface. Its functions are in a table that <c>OrtGetApiBase</c> leads
/// to. The table of a later version only has more of them at its end, so that the indexes here hold for each.
/// </summary>
internal static unsafe class OnnxRuntime
{
    /// <summary>The version of the interface: 18 is the first whose allocators have a Reserve.</summary>
    internal const uint Version = 18;

    private const int FloatElements = 1, Fatal = 4;

    private static void** s_functions;

    // Indexes into OrtApi, as onnxruntime_c_api.h of 1.31.1 has them.
    private enum Function
    {
        GetErrorMessage = 2,
        CreateEnv = 3,
        CreateSessionFromArray = 8,
        Run = 9,
        CreateSessionOptions = 10,
        SetIntraOpNumThreads = 24,
        CreateTensorWithDataAsOrtValue = 49,
        GetTensorMutableData = 51,
        CreateCpuMemoryInfo = 69,
        ReleaseEnv = 92,
        ReleaseStatus = 93,
        ReleaseMemoryInfo = 94,
        ReleaseSession = 95,
        ReleaseValue = 96,
        ReleaseSessionOptions = 100,
        AddSessionConfigEntry = 130,
        RegisterAllocator = 176,
        UnregisterAllocator = 177,
    }

    /// <summary>Loads the library. False where it is not there.</summary>
    internal static bool TryLoad()
    {
        if (!NativeLibrary.TryLoad("onnxruntime", typeof(OnnxRuntime).Assembly, null, out nint library)) return false;
        // OrtApiBase begins with GetApi.
        void** start = ((delegate* unmanaged[Cdecl]<void**>)NativeLibrary.GetExport(library, "OrtGetApiBase"))();
        s_functions = (void**)((delegate* unmanaged[Cdecl]<uint, void*>)start[0])(Version);
        Program.Check(s_functions != null, "ONNX Runtime is older than 1.18");
        return true;
    }

    /// <summary>The environment, of which a process has one: a second call counts it up.</summary>
    internal static void* CreateEnvironment()
    {
        void* environment;
        fixed (byte* name = "clients\0"u8)
            Expect(((delegate* unmanaged[Cdecl]<int, byte*, void**, void*>)At(Function.CreateEnv))(Fatal, name,
                &environment));
        return environment;
    }

    /// <summary>The kind of memory that an allocator gives: the processor's, not an arena (0), for all uses
    /// (0).</summary>
    internal static void* CreateMemoryInfo()
    {
        void* info;
        Expect(((delegate* unmanaged[Cdecl]<int, int, void**, void*>)At(Function.CreateCpuMemoryInfo))(0, 0, &info));
        return info;
    }

    internal static void Register(void* environment, OnnxAllocator* allocator) =>
        Expect(((delegate* unmanaged[Cdecl]<void*, OnnxAllocator*, void*>)At(Function.RegisterAllocator))(environment,
            allocator));

    internal static void Unregister(void* environment, void* info) =>
        Expect(((delegate* unmanaged[Cdecl]<void*, void*, void*>)At(Function.UnregisterAllocator))(environment, info));

    /// <summary>Makes a session of one thread, which takes its memory from the environment's allocator or from its
    /// own.</summary>
    /// <returns>The session; null where <paramref name="error"/> says what was wrong.</returns>
    internal static void* CreateSession(void* environment, byte[] model, bool native, out string? error)
    {
        void* options, session = null;
        Expect(((delegate* unmanaged[Cdecl]<void**, void*>)At(Function.CreateSessionOptions))(&options));
        Expect(((delegate* unmanaged[Cdecl]<void*, int, void*>)At(Function.SetIntraOpNumThreads))(options, 1));
        fixed (byte* key = "session.use_env_allocators\0"u8, value = native ? "1\0"u8 : "0\0"u8)
            Expect(((delegate* unmanaged[Cdecl]<void*, byte*, byte*, void*>)At(Function.AddSessionConfigEntry))(options,
                key, value));
        fixed (byte* bytes = model)
            error = Error(((delegate* unmanaged[Cdecl]<void*, byte*, nuint, void*, void**, void*>)
                At(Function.CreateSessionFromArray))(environment, bytes, (nuint)model.Length, options, &session));
        Release(Function.ReleaseSessionOptions, options);
        return session;
    }

    /// <summary>Runs a session from input "x" to output "y", each with rows of the same width.</summary>
    /// <returns>The output, in the session's memory: an OrtValue.</returns>
    internal static void* Run(void* session, void* info, float* input, int rows, int width)
    {
        long* shape = stackalloc long[] { rows, width };
        void* value, output = null;
        Expect(((delegate* unmanaged[Cdecl]<void*, void*, nuint, long*, nuint, int, void**, void*>)
            At(Function.CreateTensorWithDataAsOrtValue))(info, input, (nuint)rows * (nuint)width * sizeof(float), shape,
                2, FloatElements, &value));
        fixed (byte* x = "x\0"u8, y = "y\0"u8)
            Expect(((delegate* unmanaged[Cdecl]<void*, void*, byte**, void**, nuint, byte**, nuint, void**, void*>)
                At(Function.Run))(session, null, &x, &value, 1, &y, 1, &output));
        ReleaseValue(value);
        return output;
    }

    internal static ReadOnlySpan<float> Floats(void* value, int count)
    {
        void* data;
        Expect(((delegate* unmanaged[Cdecl]<void*, void**, void*>)At(Function.GetTensorMutableData))(value, &data));
        return new(data, count);
    }

    internal static void ReleaseValue(void* value) => Release(Function.ReleaseValue, value);

    internal static void ReleaseSession(void* session) => Release(Function.ReleaseSession, session);

    internal static void ReleaseMemoryInfo(void* info) => Release(Function.ReleaseMemoryInfo, info);

    internal static void ReleaseEnvironment(void* environment) => Release(Function.ReleaseEnv, environment);

    private static void* At(Function function) => s_functions[(int)function];

    private static void Release(Function function, void* what) =>
        ((delegate* unmanaged[Cdecl]<void*, void>)At(function))(what);

    private static void Expect(void* status) => Program.Check(status == null, Error(status) ?? "");

    // An OrtStatus is null where all went well.
    private static string? Error(void* status)
    {
        if (status == null) return null;
        byte* text = ((delegate* unmanaged[Cdecl]<void*, byte*>)At(Function.GetErrorMessage))(status);
        string message = Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
        Release(Function.ReleaseStatus, status);
        return message;
    }
}
