using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection.Extensions;
using NativeAlloc.AspNetCore;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Puts NativeAlloc behind the pools of ASP.NET Core.</summary>
public static class NativeAllocServiceCollectionExtensions
{
    /// <summary>
    /// Gives Kestrel, and all else that asks for an <see cref="IMemoryPoolFactory{T}"/> of bytes, pools of native
    /// memory.
    /// </summary>
    /// <param name="services">The services of the application.</param>
    /// <returns>The same services.</returns>
    /// <remarks>
    /// <para>What the server gives back goes to the allocator's caches, and from there to the system when it was not
    /// needed for a period.</para>
    /// <para>Kestrel's socket transport can send native memory only in one piece. So another takes its place, with the
    /// same <see cref="SocketTransportOptions"/>. Call this after <c>UseKestrel</c> and <c>UseSockets</c>, where the
    /// program calls them itself, on one thread.</para>
    /// </remarks>
    public static IServiceCollection AddNativeAllocMemoryPool(this IServiceCollection services)
    {
        ArgumentNullException.ThrowIfNull(services);
        foreach (ServiceDescriptor other in services.Where(service => service.ServiceType
            == typeof(IConnectionListenerFactory) && service.ImplementationType == typeof(SocketTransportFactory))
            .ToArray()) services.Remove(other);
        services.AddSingleton<IConnectionListenerFactory, NativeSocketTransportFactory>();
        services.Replace(ServiceDescriptor.Singleton<IMemoryPoolFactory<byte>, NativeAllocMemoryPoolFactory>());
        return services;
    }
}
