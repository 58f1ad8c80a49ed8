using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;

namespace NativeAlloc.AspNetCore;

/// <summary>Accepts connections of one end point.</summary>
internal sealed class NativeSocketListener(Socket socket, SocketTransportOptions options) : IConnectionListener
{
    private readonly NativeMemoryPool<byte> _pool = new();

    public EndPoint EndPoint { get; } = socket.LocalEndPoint!;

    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            try
            {
                Socket accepted = await socket.AcceptAsync(cancellationToken).ConfigureAwait(false);
                if (accepted.LocalEndPoint is IPEndPoint) accepted.NoDelay = options.NoDelay;
                NativeSocketConnection connection = new(accepted, _pool, options);
                connection.Start();
                return connection;
            }
            catch (ObjectDisposedException)
            {
                return null; // unbound
            }
            catch (SocketException error) when (error.SocketErrorCode == SocketError.OperationAborted)
            {
                return null;
            }
            catch (SocketException)
            {
                // The client went away before it was accepted.
            }
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        socket.Dispose();
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync()
    {
        socket.Dispose();
        _pool.Dispose();
        return ValueTask.CompletedTask;
    }
}
