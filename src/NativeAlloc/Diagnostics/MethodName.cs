using System.Reflection;

namespace NativeAlloc.Diagnostics;

/// <summary>
/// Names of methods as they stand in the source: the compiler has put asynchronous methods and iterators into types of
/// their own, and lambdas and local functions into methods with other names.
/// </summary>
internal static class MethodName
{
    internal static string Of(MethodBase method)
    {
        Type? type = method.DeclaringType;
        string name = method.Name;
        if (name == "MoveNext" && type is { IsNested: true } && Inner(type.Name) is { } outer) // <Outer>d__3.MoveNext
        {
            name = outer;
            type = type.DeclaringType;
        }
        else if (name.StartsWith('<'))
        {
            string containing = Inner(name) ?? name; // <Outer>b__0_1, <Outer>g__Local|0_0
            int local = name.IndexOf(">g__", StringComparison.Ordinal);
            int end = name.IndexOf('|', StringComparison.Ordinal);
            name = local >= 0 && end > local ? $"{containing}.{name[(local + 4)..end]}" : $"{containing}.lambda";
        }
        while (type is { IsNested: true, Name: ['<', ..] }) type = type.DeclaringType; // a closure
        return type == null ? name : $"{NameOf(type)}.{name}";
    }

    // What stands between < and > at the beginning of a compiler's name; null where nothing does.
    private static string? Inner(string name)
    {
        int end = name.IndexOf('>', StringComparison.Ordinal);
        return name.StartsWith('<') && end > 1 ? name[1..end] : null;
    }

    private static string NameOf(Type type)
    {
        string name = type.Name;
        int arity = name.IndexOf('`', StringComparison.Ordinal);
        if (arity >= 0) name = name[..arity];
        if (type is { IsNested: true, DeclaringType: { } outer }) return $"{NameOf(outer)}.{name}";
        return string.IsNullOrEmpty(type.Namespace) ? name : $"{type.Namespace}.{name}";
    }
}
