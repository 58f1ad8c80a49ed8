namespace NativeAlloc.Tool;

/// <summary>What the user is to read as it stands, without a stack.</summary>
internal sealed class ToolException(string message) : Exception(message);
