using System.Globalization;
using System.Reflection;
using NativeAlloc.Os;
using NativeAlloc.Pages;

namespace NativeAlloc.TestHost;

/// <summary>
/// A program that sets options, allocates, and prints what every option then is, and the bytes that are reserved; or
/// what it was told instead. Its arguments are its steps.
/// </summary>
internal static unsafe class ShowOptions
{
    internal const string Name = "show-options";

    /// <summary>
    /// Steps: set the options that follow, <c>Name=Value</c>, in the program's code; set one by AppContext; allocate;
    /// print.
    /// </summary>
    internal const string Configure = "configure", Context = "context", Use = "use", Print = "print";

    internal static int Run(string[] args)
    {
        for (int at = 0; at < args.Length; at++)
        {
            try
            {
                switch (args[at])
                {
                    case Configure:
                        NativeAllocator.Configure(Parse(args[++at]));
                        break;
                    case Context:
                        string[] pair = args[++at].Split('=');
                        AppContext.SetData(pair[0], pair[1]);
                        break;
                    case Use:
                        NativeAllocator.Free(NativeAllocator.Alloc(100));
                        break;
                    case Print:
                        PrintAll();
                        break;
                    default:
                        return 2;
                }
            }
            catch (Exception error) when (error is InvalidOperationException or ArgumentOutOfRangeException)
            {
                Console.WriteLine($"{error.GetType().Name}: {error.Message}");
            }
        }
        return 0;
    }

    // "A=1,B=2"; empty for none.
    private static NativeAllocatorOptions Parse(string text)
    {
        NativeAllocatorOptions options = new();
        foreach (string assignment in text.Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = assignment.Split('=');
            PropertyInfo property = typeof(NativeAllocatorOptions).GetProperty(pair[0])!;
            Type type = Nullable.GetUnderlyingType(property.PropertyType)!;
            object value = type.IsEnum ? Enum.Parse(type, pair[1])
                : type == typeof(nuint) ? nuint.Parse(pair[1], CultureInfo.InvariantCulture)
                : int.Parse(pair[1], CultureInfo.InvariantCulture);
            property.SetValue(options, value);
        }
        return options;
    }

    private static void PrintAll()
    {
        foreach (FieldInfo field in typeof(Options).GetFields(BindingFlags.Static | BindingFlags.NonPublic))
            if (field is { IsAssembly: true, IsInitOnly: true })
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{field.Name}={field.GetValue(null)}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Reserved={LinearRegion.Bytes}"));
    }
}
