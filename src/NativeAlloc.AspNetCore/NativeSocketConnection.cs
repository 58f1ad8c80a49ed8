using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace NativeAlloc.AspNetCore;

/// <summary>
/// One connection: a loop that receives into one pipe and a loop that sends out of another. Both pipes have their
/// memory from the pool.
/// </summary>
/// <remarks>
/// Whatever goes wrong in a loop shuts the socket down, and the input ends with an exception. The output ends with one
/// only for what is no end of the connection. The loops' tasks never fault: the server forgets a connection only when
/// it could dispose of it.
/// </remarks>
internal sealed class NativeSocketConnection : DefaultConnectionContext, IMemoryPoolFeature, IConnectionSocketFeature
{
    // Each piece is a call of the system when it is sent.
    private const int OutputPieceBytes = 32 * 1024, SmallestReceiveBytes = 2048;

    // What follows a receive that filled its room: much is on the way, and each call of the system gets more of it.
    private const int BusyReceiveBytes = 32 * 1024;

    private readonly CancellationTokenSource _closed = new();
    private readonly PipeWriter _input;
    private readonly PipeReader _output;
    private readonly bool _waitForData;
    private Task _receiving = Task.CompletedTask, _sending = Task.CompletedTask;

    /// <summary>Not null once the socket is shut down. Any thread, by Interlocked and Volatile.</summary>
    private Exception? _reason;

    internal NativeSocketConnection(Socket socket, MemoryPool<byte> pool, SocketTransportOptions options)
        : base(Guid.NewGuid().ToString("N"))
    {
        Socket = socket;
        MemoryPool = pool;
        _waitForData = options.WaitForDataBeforeAllocatingBuffer;
        PipeScheduler application = options.UnsafePreferInlineScheduling ? PipeScheduler.Inline
            : PipeScheduler.ThreadPool;
        Pipe input = new(OptionsOf(pool, application, options.MaxReadBufferSize, minimumSegmentBytes: -1));
        Pipe output = new(OptionsOf(pool, application, options.MaxWriteBufferSize, OutputPieceBytes));
        (_input, _output) = (input.Writer, output.Reader);
        Transport = new Ends(input.Reader, output.Writer);
        Application = new Ends(output.Reader, input.Writer);
        LocalEndPoint = socket.LocalEndPoint;
        RemoteEndPoint = socket.RemoteEndPoint;
        ConnectionClosed = _closed.Token;
        Features.Set<IMemoryPoolFeature>(this);
        Features.Set<IConnectionSocketFeature>(this);
    }

    public Socket Socket { get; }

    public MemoryPool<byte> MemoryPool { get; }

    /// <summary>Begins to receive and to send.</summary>
    internal void Start()
    {
        _receiving = ReceiveAsync();
        _sending = SendAsync();
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        ShutDown(abortReason);
        _output.CancelPendingRead();
    }

    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync().ConfigureAwait(false);
        await Transport.Output.CompleteAsync().ConfigureAwait(false);
        await _receiving.ConfigureAwait(false);
        await _sending.ConfigureAwait(false);
        _closed.Dispose();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    // 0 is no limit; null is for pipes the same as 0.
    private static PipeOptions OptionsOf(MemoryPool<byte> pool, PipeScheduler scheduler, long? mostBytes,
        int minimumSegmentBytes) =>
        new(pool, scheduler, scheduler, mostBytes ?? 0, (mostBytes ?? 0) / 2, minimumSegmentBytes,
            useSynchronizationContext: false);

    private async Task ReceiveAsync()
    {
        Exception? error = null;
        try
        {
            for (bool isBusy = false; ;)
            {
                // So that a connection that says nothing holds no memory.
                if (_waitForData && !isBusy)
                    await Socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None).ConfigureAwait(false);
                Memory<byte> room = _input.GetMemory(isBusy ? BusyReceiveBytes : SmallestReceiveBytes);
                int received = await Socket.ReceiveAsync(room, SocketFlags.None).ConfigureAwait(false);
                if (received == 0) break;
                isBusy = received == room.Length;
                _input.Advance(received);
                FlushResult result = await _input.FlushAsync().ConfigureAwait(false);
                if (result.IsCompleted || result.IsCanceled) break;
            }
        }
        catch (Exception broken) // the pool at its limit, for one
        {
            error = ReasonOf(broken);
        }
        await EndReceivingAsync(error).ConfigureAwait(false);
    }

    // An error is the reader's to know: without it, what was received so far would pass for all that was sent.
    private async Task EndReceivingAsync(Exception? error)
    {
        Exception? reason = Volatile.Read(ref _reason) ?? error;
        if (reason != null) ShutDown(reason);
        await _input.CompleteAsync(reason).ConfigureAwait(false);
        try
        {
            await _closed.CancelAsync().ConfigureAwait(false);
        }
        catch (AggregateException)
        {
            // Who listens for the end has exceptions of his own.
        }
    }

    private async Task SendAsync()
    {
        Exception? error = null;
        try
        {
            while (true)
            {
                ReadResult result = await _output.ReadAsync().ConfigureAwait(false);
                if (result.IsCanceled) break;
                foreach (ReadOnlyMemory<byte> piece in result.Buffer)
                {
                    for (ReadOnlyMemory<byte> rest = piece; rest.Length != 0;)
                        rest = rest[await Socket.SendAsync(rest, SocketFlags.None).ConfigureAwait(false)..];
                }
                _output.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted) break;
            }
        }
        catch (Exception broken) // of the socket, or unexpected
        {
            error = ReasonOf(broken);
        }
        // Input that is still to come is not received any more, so its reader must not take what it has for all.
        ShutDown(error ?? new ConnectionAbortedException("The send loop has ended."));
        // The end of a connection is no error for who writes to it: his flush is completed and does not throw.
        bool isEnd = error is ConnectionResetException or ConnectionAbortedException;
        await _output.CompleteAsync(isEnd ? null : error).ConfigureAwait(false);
        _input.CancelPendingFlush();
    }

    private void ShutDown(Exception reason)
    {
        Exception first = reason is ConnectionAbortedException or ConnectionResetException
            ? reason
            : new ConnectionAbortedException(reason.Message, reason);
        if (Interlocked.CompareExchange(ref _reason, first, null) != null) return;
        try
        {
            Socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            // The other side was faster, or the application has disposed of the socket.
        }
        Socket.Dispose();
    }

    private static Exception ReasonOf(Exception error) => error switch
    {
        SocketException reset when IsReset(reset.SocketErrorCode) => new ConnectionResetException(reset.Message, reset),
        SocketException or ObjectDisposedException =>
            new ConnectionAbortedException("The connection was aborted.", error),
        _ => error,
    };

    private static bool IsReset(SocketError error) =>
        error is SocketError.ConnectionReset or SocketError.Shutdown or SocketError.ConnectionAborted;

    private sealed class Ends(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }
}
