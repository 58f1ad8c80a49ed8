using System.Reflection;

namespace NativeAlloc.Tests.Infrastructure;

/// <summary>
/// Writes what an assembly's users see, a member a line and sorted, so that two versions can be compared by their text.
/// </summary>
internal static class PublicSurface
{
    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance
        | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static readonly NullabilityInfoContext s_nullability = new();

    private static readonly Dictionary<Type, string> s_keywords = new()
    {
        [typeof(void)] = "void",
        [typeof(bool)] = "bool",
        [typeof(char)] = "char",
        [typeof(byte)] = "byte",
        [typeof(short)] = "short",
        [typeof(int)] = "int",
        [typeof(long)] = "long",
        [typeof(uint)] = "uint",
        [typeof(ulong)] = "ulong",
        [typeof(nint)] = "nint",
        [typeof(nuint)] = "nuint",
        [typeof(float)] = "float",
        [typeof(double)] = "double",
        [typeof(string)] = "string",
        [typeof(object)] = "object",
    };

    internal static string[] Of(Assembly assembly)
    {
        List<string> lines = [];
        foreach (Type type in assembly.GetExportedTypes())
        {
            lines.Add($"{Describe(type)} {NameOf(type)}");
            lines.AddRange(type.GetMembers(Declared).Select(Describe).OfType<string>());
        }
        lines.Sort(StringComparer.Ordinal);
        return [.. lines];
    }

    private static string Describe(Type type)
    {
        string kind = type.IsInterface
            ? "interface"
            : type.IsEnum
            ? "enum"
            : type.IsValueType
            ? "struct"
            : typeof(Delegate).IsAssignableFrom(type)
            ? "delegate"
            : "class";
        string modifier = type is { IsAbstract: true, IsSealed: true }
            ? "static "
            : type.IsAbstract && !type.IsInterface
            ? "abstract "
            : type.IsSealed && type.IsClass
            ? "sealed "
            : "";
        return modifier + kind;
    }

    // Null for what users do not see, and for accessors, which their property stands for.
    private static string? Describe(MemberInfo member)
    {
        string owner = NameOf(member.DeclaringType!);
        return member switch
        {
            MethodInfo method when IsVisible(method) && !IsAccessor(method) =>
                $"{owner}.{NameOf(method)}({Parameters(method)}) : {NameOf(method.ReturnParameter)}{Static(method)}",
            ConstructorInfo constructor
                when IsVisible(constructor) && !constructor.IsStatic => $"{owner}.new({Parameters(constructor)})",
            FieldInfo { IsPublic: true, IsSpecialName: false } field => $"{owner}.{field.Name} : " +
                $"{NameOf(field.FieldType)}{(field.IsLiteral ? $" = {field.GetRawConstantValue()}" : "")}",
            PropertyInfo property => Describe(property, owner),
            EventInfo signal when IsVisible(signal.AddMethod!) =>
                $"{owner}.{signal.Name} : event {NameOf(signal.EventHandlerType!)}",
            _ => null,
        };
    }

    private static string? Describe(PropertyInfo property, string owner)
    {
        bool get = property.GetMethod is { } getter && IsVisible(getter),
            set = property.SetMethod is { } setter && IsVisible(setter);
        if (!get && !set) return null;
        bool init = set && property.SetMethod!.ReturnParameter.GetRequiredCustomModifiers()
            .Any(modifier => modifier.Name == "IsExternalInit");
        return $"{owner}.{property.Name} : {NameOf(property.PropertyType)} " +
            $"{{{(get ? " get;" : "")}{(init ? " init;" : set ? " set;" : "")} " +
            $"}}{Static(property.GetMethod ?? property.SetMethod!)}";
    }

    private static bool IsVisible(MethodBase method) => method.IsPublic
        || ((method.IsFamily || method.IsFamilyOrAssembly) && method.DeclaringType is { IsSealed: false });

    private static bool IsAccessor(MethodInfo method) =>
        method.IsSpecialName && !method.Name.StartsWith("op_", StringComparison.Ordinal);

    private static string Static(MethodBase method) =>
        method.IsStatic && method.DeclaringType is not { IsAbstract: true, IsSealed: true } ? " static" : "";

    private static string NameOf(MethodInfo method) =>
        method.IsGenericMethodDefinition
            ? $"{method.Name}<{string.Join(", ", method.GetGenericArguments().Select(NameWithConstraints))}>"
            : method.Name;

    private static string NameWithConstraints(Type parameter)
    {
        bool unmanaged = parameter.GetCustomAttributesData()
            .Any(attribute => attribute.AttributeType.Name == "IsUnmanagedAttribute");
        bool value =
            parameter.GenericParameterAttributes.HasFlag(GenericParameterAttributes.NotNullableValueTypeConstraint);
        return parameter.Name + (unmanaged ? " : unmanaged" : value ? " : struct" : "");
    }

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(Describe));

    private static string Describe(ParameterInfo parameter)
    {
        string by = parameter.IsOut ? "out " : parameter.IsIn ? "in " : parameter.ParameterType.IsByRef ? "ref " : "";
        return $"{by}{NameOf(parameter)} " +
            $"{parameter.Name}{(parameter.HasDefaultValue ? $" = {parameter.DefaultValue ?? "default"}" : "")}";
    }

    private static string NameOf(ParameterInfo parameter)
    {
        Type type =
            parameter.ParameterType.IsByRef ? parameter.ParameterType.GetElementType()! : parameter.ParameterType;
        bool nullable = !type.IsValueType && !type.IsPointer
            && s_nullability.Create(parameter).ReadState == NullabilityState.Nullable;
        return NameOf(type) + (nullable ? "?" : "");
    }

    private static string NameOf(Type type)
    {
        if (s_keywords.TryGetValue(type, out string? keyword)) return keyword;
        if (type.IsFunctionPointer)
            return "delegate*<"
            + List([.. type.GetFunctionPointerParameterTypes(), type.GetFunctionPointerReturnType()]) + ">";
        if (type.IsPointer) return NameOf(type.GetElementType()!) + "*";
        if (type.IsArray) return NameOf(type.GetElementType()!) + "[]";
        if (type.IsGenericParameter) return type.Name;
        if (type.IsGenericType)
            return $"{type.GetGenericTypeDefinition().FullName!.Split('`')[0]}<{List(type.GetGenericArguments())}>";
        return type.FullName!;
    }

    private static string List(Type[] types) => string.Join(", ", types.Select(NameOf));
}
