namespace NativeAlloc.Benchmarks.Commands;

/// <summary>
/// The user asked for something that cannot be done; the message is one line that says what and what can.
/// </summary>
internal sealed class UsageException(string message) : Exception(message);
