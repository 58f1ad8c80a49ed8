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

    private const int LimitBytes = 1024; // of a pipe, so that its writer waits

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

    [Fact]
    public async Task A_flush_that_waits_when_the_client_resets_is_completed_and_does_not_throw()
    {
        using Pool pool = new(pieces: int.MaxValue);
        (NativeSocketConnection connection, Socket client) = await ConnectAsync(pool, waitForData: true,
            new() { MaxWriteBufferSize = LimitBytes });
        connection.Transport.Output.Write(new byte[8 << 20]); // more than the system takes at once
        ValueTask<FlushResult> flush = connection.Transport.Output.FlushAsync(Cancelled);
        Assert.False(flush.IsCompleted);
        client.LingerState = new LingerOption(true, 0);
        client.Dispose();
        Assert.True((await flush).IsCompleted);
        await connection.DisposeAsync();
    }

    [Fact]
    public async Task Input_that_was_not_received_when_sending_ended_does_not_look_complete()
    {
        using Pool pool = new(pieces: int.MaxValue);
        (NativeSocketConnection connection, Socket client) = await ConnectAsync(pool, waitForData: true,
            new() { MaxReadBufferSize = LimitBytes });
        using (client)
        {
            TaskCompletionSource isClosed = new();
            connection.ConnectionClosed.Register(isClosed.SetResult);
            await client.SendAsync(new byte[SentBytes], Cancelled);
            ReadResult result = await connection.Transport.Input.ReadAsync(Cancelled);
            await connection.Transport.Output.CompleteAsync();
            await isClosed.Task;
            connection.Transport.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
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
        bool waitForData, SocketTransportOptions? options = null)
    {
        options ??= new SocketTransportOptions();
        options.WaitForDataBeforeAllocatingBuffer = waitForData;
        using Socket listener = new(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        Socket client = new(SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(listener.LocalEndPoint!, Cancelled);
        Socket accepted = await listener.AcceptAsync(Cancelled);
        NativeSocketConnection connection = new(accepted, pool, options);
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
