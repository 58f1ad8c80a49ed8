using System.ComponentModel;
using System.Diagnostics;

namespace NativeAlloc.Benchmarks.Downloading;

/// <summary>
/// Packages of a Debian suite, by apt with lists and a cache of its own in a temporary folder: nothing is installed,
/// the machine's own lists stay as they are, and no special rights are needed. The mirror is the one that the
/// machine's apt is set up with.
/// </summary>
internal sealed class DebianPackages : IDisposable
{
    private const string Apt = "apt-get";
    private const string Unpacker = "dpkg-deb";

    /// <summary>
    /// The mirror's folder of Debian itself; its neighbours, as that of security updates, have no other suites.
    /// </summary>
    private const string ArchiveFolder = "/debian";

    private readonly string _folder = Directory.CreateTempSubdirectory("nativealloc-apt-").FullName;
    private readonly (string Uri, string Suite) _source;

    /// <param name="suite">The suite; null for the one that the machine uses.</param>
    /// <exception cref="IOException">The machine's apt names no mirror of Debian.</exception>
    public DebianPackages(string? suite)
    {
        (string uri, string own) = FindMirror();
        _source = (uri, suite ?? own);
        Directory.CreateDirectory(Path.Combine(_folder, "lists", "partial"));
        Directory.CreateDirectory(Path.Combine(_folder, "archives", "partial"));
        string line = $"deb {_source.Uri} {_source.Suite} main\n";
        File.WriteAllText(Path.Combine(_folder, "sources.list"), line);
    }

    /// <summary>Null if packages can be had, else why not.</summary>
    public static string? Missing => new[] { Apt, Unpacker }.FirstOrDefault(tool => !IsOnPath(tool)) is { } tool
        ? $"there is no {tool}; C allocators are downloaded on Debian and its like only"
        : null;

    public string Source => $"Debian {_source.Suite}";

    /// <summary>Reads the suite's list of packages; returns what went wrong, if something did.</summary>
    public string? Update() => RunApt("update");

    /// <summary>
    /// Downloads a package and copies one of its libraries to a folder; returns what went wrong, if something did.
    /// </summary>
    public string? Extract(string package, string fileName, string target)
    {
        if (RunApt("download", package) is { } problem)
            return problem;
        string? archive = Directory.EnumerateFiles(_folder, $"{package}_*.deb").FirstOrDefault();
        if (archive is null)
            return $"{Apt} downloaded no file of {package}";
        string unpacked = Path.Combine(_folder, package);
        if (Run(Unpacker, "-x", archive, unpacked).Problem is { } failure)
            return failure;
        string? library = Directory.EnumerateFiles(unpacked, fileName, SearchOption.AllDirectories).FirstOrDefault();
        if (library is null)
            return $"{package} has no {fileName}";

        // The name is a link to the file of that very version.
        FileSystemInfo file = new FileInfo(library).ResolveLinkTarget(returnFinalTarget: true) ?? new FileInfo(library);
        Directory.CreateDirectory(target);
        File.Copy(file.FullName, Path.Combine(target, fileName), overwrite: true);
        return null;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static (string Uri, string Suite) FindMirror()
    {
        (string output, string? problem) =
            Run(Apt, "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages");
        if (problem is not null)
            throw new IOException(problem);
        foreach (string line in output.Split('\n'))
        {
            string[] parts = line.Split(' ');
            if (parts.Length == 2 && parts[0].TrimEnd('/').EndsWith(ArchiveFolder, StringComparison.Ordinal))
                return (parts[0], parts[1]);
        }

        throw new IOException($"the sources of {Apt} have no mirror of Debian");
    }

    private static bool IsOnPath(string tool) => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Any(folder => File.Exists(Path.Combine(folder, tool)));

    private static (string Output, string? Problem) Run(string program, params string[] arguments) =>
        Run(new ProcessStartInfo(program, arguments));

    private static (string Output, string? Problem) Run(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (output, process.ExitCode == 0 ? null : $"{start.FileName}: {FirstLine(errors.Result)}");
        }
        catch (Win32Exception e)
        {
            return ("", $"{start.FileName} could not be started: {e.Message}");
        }
    }

    private static string FirstLine(string text) => text.Trim().Split('\n')[0];

    private string? RunApt(params string[] arguments)
    {
        string[] options =
        [
            $"Dir::State::lists={_folder}/lists",
            $"Dir::Cache={_folder}",
            $"Dir::Etc::sourcelist={_folder}/sources.list",
            "Dir::Etc::sourceparts=/dev/null",
            "APT::Sandbox::User=", // apt's own user may not read the folder
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        ];
        string[] all = ["-q", .. options.SelectMany(option => new[] { "-o", option }), .. arguments];
        return Run(new ProcessStartInfo(Apt, all) { WorkingDirectory = _folder }).Problem;
    }
}
