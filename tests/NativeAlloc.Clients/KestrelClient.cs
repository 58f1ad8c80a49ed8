using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace NativeAlloc.Clients;

/// <summary>
/// A real server with real requests: bodies from one byte to megabytes, many at once, connections that are aborted in
/// the middle, with TLS and without. After it has stopped no byte is live.
/// </summary>
internal static class KestrelClient
{
    internal static void Run(bool native, int scale) => RunAsync(native, scale).GetAwaiter().GetResult();

    private static async Task RunAsync(bool native, int scale)
    {
        using X509Certificate2 certificate = MakeCertificate();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        if (native) builder.Services.AddNativeAllocMemoryPool();
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.Limits.MaxRequestBodySize = null;
            options.Listen(IPAddress.Loopback, 0);
            options.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(certificate));
        });
        await using (WebApplication app = builder.Build())
        {
            bool usesPool = false;
            app.MapPost("/echo", async (HttpContext context) =>
            {
                if (context.Features.Get<IMemoryPoolFeature>()?.MemoryPool is NativeMemoryPool<byte>)
                    Volatile.Write(ref usesPool, true);
                // All of it first: the client reads when it has sent.
                using NativeStream body = new();
                await context.Request.Body.CopyToAsync(body);
                context.Response.ContentLength = body.Length;
                body.Position = 0;
                await body.CopyToAsync(context.Response.Body);
            });
            await app.StartAsync();
            string[] addresses = [.. app.Services.GetRequiredService<IServer>().Features
                .Get<IServerAddressesFeature>()!.Addresses];
            using HttpClient client = new(new SocketsHttpHandler
            {
                SslOptions = { RemoteCertificateValidationCallback = (_, _, _, _) => true },
            });
            foreach (string address in addresses) await Exchange(client, address, scale);
            Program.Check(Volatile.Read(ref usesPool) == native, "Kestrel does not use the pool that it was given");
            await Abort(addresses.First(address => address.StartsWith("http:", StringComparison.Ordinal)));
            await app.StopAsync();
        }
        if (!native) return;
        for (int i = 0; i < 50 && NativeAllocator.GetStatistics().LiveBlocks != 0; i++) await Task.Delay(20);
        AllocatorStatistics statistics = NativeAllocator.GetStatistics();
        Program.Check(statistics.LiveBlocks == 0, $"{statistics.LiveBytes} bytes are live after the stop");
        Program.Check(statistics.ForgottenBlocks == 0, $"{statistics.ForgottenBlocks} blocks were forgotten");
    }

    private static async Task Exchange(HttpClient client, string address, int scale)
    {
        Uri target = new($"{address}/echo");
        int[] sizes = [1, 100, 4096, 4097, 70_000, 1_000_000, 3_000_000];
        await Parallel.ForEachAsync(Enumerable.Range(0, 28 * scale), new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (number, token) =>
            {
                byte[] body = new byte[sizes[number % sizes.Length]];
                new Random(number).NextBytes(body);
                using ByteArrayContent content = new(body);
                using HttpResponseMessage response = await client.PostAsync(target, content, token);
                byte[] back = await response.Content.ReadAsByteArrayAsync(token);
                Program.Check(body.AsSpan().SequenceEqual(back), "the server changed the bytes");
            });
    }

    private static async Task Abort(string address)
    {
        Uri target = new(address);
        for (int i = 0; i < 20; i++)
        {
            using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(target.Host, target.Port);
            await socket.SendAsync("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nsome"u8.ToArray());
            socket.LingerState = new LingerOption(true, 0); // a reset, as of a client that dies
        }
    }

    private static X509Certificate2 MakeCertificate()
    {
        using RSA key = RSA.Create(2048);
        CertificateRequest request = new("CN=localhost", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1),
            DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }
}
