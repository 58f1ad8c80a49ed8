using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using NativeAlloc.AspNetCore;
using Xunit;

namespace NativeAlloc.ClientTests;

/// <summary>
/// Proves that a connection of the transport tells its reader what went wrong, and that the server can dispose of it
/// whatever that was.
/// </summary>
public sealed class SocketConnectionTests
{
    private const int SentBytes = 16 * 1024; // in one go, and more than the pool's one piece

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_that_ran_out_of_memory_does_not_look_complete(bool waitForData)
    {
        using Pool pool = new(pieces: 1);
        (NativeSocketConnection connection, Socket client) = await ConnectAsync(pool, waitForData);
        using (client)
        {
            await client.SendAsync(new byte[SentBytes], Cancelled);
            await Assert.ThrowsAsync<OutOfMemoryException>(() => ReadToEndAsync(connection.Transport.Input));
            // The other side is not left waiting: its connection ends, or is reset as not all was received.
            try
            {
                Assert.Equal(0, await client.ReceiveAsync(new byte[1], Cancelled));
            }
            catch (SocketException reset)
            {
                Assert.Equal(SocketError.ConnectionReset, reset.SocketErrorCode);
            }
            await connection.DisposeAsync();
        }
    }

    [Fact]
    public async Task What_a_listener_for_the_end_throws_does_not_keep_the_connection()
    {
        using Pool pool = new(pieces: int.MaxValue);
        (NativeSocketConnection connection, Socket client) = await ConnectAsync(pool, waitForData: true);
        TaskCompletionSource isTold = new();
        connection.ConnectionClosed.Register(() =>
        {
            isTold.SetResult();
            throw new InvalidOperationException("of the listener");
        });
        client.Dispose();
        await ReadToEndAsync(connection.Transport.Input);
        await isTold.Task;
        await connection.DisposeAsync();
    }

    [Fact]
    public async Task A_socket_that_the_application_disposed_of_does_not_keep_the_connection()
    {
        using Pool pool = new(pieces: int.MaxValue);
        (NativeSocketConnection connection, Socket client) = await ConnectAsync(pool, waitForData: true);
        using (client)
        {
            connection.Socket.Dispose();
            await Assert.ThrowsAsync<ConnectionAbortedException>(() => ReadToEndAsync(connection.Transport.Input));
            await connection.DisposeAsync();
        }
    }

    // Nothing is consumed, so no piece comes back to the pool.
    private static async Task ReadToEndAsync(PipeReader reader)
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(Cancelled);
            if (result.IsCompleted) return;
            reader.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    private static async Task<(NativeSocketConnection Connection, Socket Client)> ConnectAsync(Pool pool,
        bool waitForData)
    {
        using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        Socket client = new(SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(listener.LocalEndPoint!, Cancelled);
        Socket accepted = await listener.AcceptAsync(Cancelled);
        NativeSocketConnection connection = new(accepted, pool,
            new SocketTransportOptions { WaitForDataBeforeAllocatingBuffer = waitForData });
        connection.Start();
        return (connection, client);
    }

    /// <summary>Has so many pieces and then no memory.</summary>
    private sealed class Pool(int pieces) : MemoryPool<byte>
    {
        private const int LeastBytes = 4096;

        private int _left = pieces;

        public override int MaxBufferSize => int.MaxValue; // the pipes have no other memory

        public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => _left-- > 0
            ? new Piece(new byte[Math.Max(minBufferSize, LeastBytes)])
            : throw new OutOfMemoryException("The pool is at its limit.");

        protected override void Dispose(bool disposing)
        {
        }

        private sealed class Piece(byte[] bytes) : IMemoryOwner<byte>
        {
            public Memory<byte> Memory => bytes;

            public void Dispose()
            {
            }
        }
    }
}
