using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Xml.Linq;
using Microsoft.Build.Utilities;

/// <summary>
/// Leaves in a file of documentation what users of the assembly see: public types, and their public and protected
/// members. Members are told apart by name; overloads of a name stay together.
/// </summary>
public sealed class KeepPublicDocs : Task
{
    public string Assembly { get; set; }

    public string File { get; set; }

    public override bool Execute()
    {
        HashSet<string> names = new HashSet<string>();
        // From its bytes, so that the file can be written again.
        foreach (Type type in System.Reflection.Assembly.Load(System.IO.File.ReadAllBytes(Assembly)).GetExportedTypes())
        {
            string name = type.FullName.Replace('+', '.');
            names.Add(name);
            foreach (MemberInfo member in type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic
                | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly))
                if (IsVisible(member)) names.Add(name + "." + member.Name.Replace('.', '#'));
        }
        XDocument docs = XDocument.Load(File, LoadOptions.PreserveWhitespace);
        foreach (XElement member in docs.Descendants("member").ToList())
            if (!names.Contains(NameOf((string)member.Attribute("name")))) member.Remove();
        docs.Save(File);
        return true;
    }

    // "M:A.B.C``1(System.Int32)" is "A.B.C".
    private static string NameOf(string id)
    {
        string name = id.Substring(2).Split('(')[0].Split('~')[0];
        int generic = name.IndexOf("``", StringComparison.Ordinal);
        return generic < 0 ? name : name.Substring(0, generic);
    }

    private static bool IsVisible(MemberInfo member)
    {
        PropertyInfo property = member as PropertyInfo;
        if (property != null) return property.GetAccessors(true).Any(IsVisible);
        FieldInfo field = member as FieldInfo;
        if (field != null) return field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly;
        MethodBase method = member as MethodBase;
        return method != null && (method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly);
    }
}
