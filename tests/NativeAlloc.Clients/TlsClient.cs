using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace NativeAlloc.Clients;

/// <summary>
/// OpenSSL under .NET's TLS. Its allocator is set for the whole process by <c>CRYPTO_set_mem_functions</c>, before
/// anything in it was allocated.
/// </summary>
internal static partial class TlsClient
{
    internal static void Run(bool native, int scale)
    {
        if (!NativeLibrary.TryLoad("libcrypto.so.3", out _)) Program.NotInstalled("OpenSSL 3 (libssl3)");
        // The functions get the file and line of the caller, too, which C functions may leave unread.
        if (native) UseCallbacks();
        using RSA key = RSA.Create(2048);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1),
            DateTimeOffset.UtcNow.AddDays(1));
        using X509Certificate2 certificate = X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
        long before = NativeAllocator.GetStatistics().LiveBlocks;
        for (int i = 0; i < 10 * scale; i++) Exchange(certificate, 1 << 20).GetAwaiter().GetResult();
        if (native) Program.Check(before > 100, "OpenSSL does not use the callbacks");
    }

    private static unsafe void UseCallbacks() =>
        Program.Check(SetMemoryFunctions(NativeCallbacks.Malloc, NativeCallbacks.Realloc, NativeCallbacks.Free) == 1,
            "OpenSSL has allocated already");

    private static async Task Exchange(X509Certificate2 certificate, int bytes)
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task<TcpClient> accepting = listener.AcceptTcpClientAsync();
        using TcpClient client = new();
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        using TcpClient server = await accepting;
        using SslStream secure = new(client.GetStream(), false, (_, _, _, _) => true);
        using SslStream other = new(server.GetStream());
        await Task.WhenAll(secure.AuthenticateAsClientAsync("localhost"),
            other.AuthenticateAsServerAsync(certificate));
        byte[] sent = RandomNumberGenerator.GetBytes(bytes), received = new byte[bytes];
        Task sending = secure.WriteAsync(sent).AsTask();
        await other.ReadExactlyAsync(received);
        await sending;
        Program.Check(sent.AsSpan().SequenceEqual(received), "TLS changed the bytes");
    }

    [LibraryImport("libcrypto.so.3", EntryPoint = "CRYPTO_set_mem_functions")]
    private static unsafe partial int SetMemoryFunctions(delegate* unmanaged[Cdecl]<nuint, void*> malloc,
        delegate* unmanaged[Cdecl]<void*, nuint, void*> realloc, delegate* unmanaged[Cdecl]<void*, void> free);
}
