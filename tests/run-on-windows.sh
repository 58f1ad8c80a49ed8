#!/usr/bin/env bash
# Runs the tests as a Windows program under wine. Ends with the summary of the test runner.
#   tests/run-on-windows.sh                     all tests that do not need the source tree
#   tests/run-on-windows.sh smoke               the smoke program
#   tests/run-on-windows.sh compare --workload cppcheck,spike:mib=128 --allocator nativealloc --runs 1
#                                               the benchmarks, which check what blocks hold
#   tests/run-on-windows.sh -class NAMESPACE.X  what the runner is told (-class, -namespace, -method, …)
# Installs what it needs from Debian (as root). Times under wine say nothing about Windows.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

wine=/usr/lib/wine/wine64
if [ ! -x $wine ]; then
    [ "${1:-}" != --if-installed ] || { echo "SKIPPED Windows: needs wine64 (apt-get install wine64)"; exit 0; }
    apt-get install -y wine64
fi
[ "${1:-}" != --if-installed ] || shift

out=$(mktemp -d)
export WINEPREFIX="$out/prefix" WINEDEBUG=-all WINEARCH=win64 DISPLAY=
# The runtime maps its code twice, which wine does not do as Windows does.
export DOTNET_EnableWriteXorExecute=0
trap '/usr/lib/wine/wineserver -k || true; rm -rf "$out"' EXIT
WINEDLLOVERRIDES="mscoree,mshtml=" $wine wineboot -i > /dev/null 2>&1
$wine reg add 'HKCU\Software\Wine' /v Version /d win10 /f > /dev/null

# A release build of the tree has code in it that is compiled for Linux; in the package that is in a folder of its own.
if [ "${1:-}" = smoke ]; then
    dotnet publish tests/NativeAlloc.Smoke -c Debug -r win-x64 --self-contained -o "$out/smoke" -v q
    $wine "$out/smoke/NativeAlloc.Smoke.exe" < /dev/null
    exit
fi

if [ "${1:-}" = compare ]; then
    dotnet publish benchmarks/NativeAlloc.Benchmarks -c Debug -r win-x64 --self-contained -o "$out/benchmarks" -v q
    (cd "$out/benchmarks" && $wine NativeAlloc.Benchmarks.exe "$@" < /dev/null)
    exit
fi

# The runner of Microsoft.Testing.Platform waits for ever under wine; xunit's own does not.
failed=0
for project in NativeAlloc.Tests NativeAlloc.SystemTests; do
    dotnet publish "tests/$project" -c Debug -r win-x64 --self-contained -o "$out/$project" -v q \
        -p:UseMicrosoftTestingPlatformRunner=false -p:TestingPlatformDotnetTestSupport=false
    arguments=("$@")
    if [ $# = 0 ]; then
        # What looks at the sources, the machine code of linux-x64 or the package is the same everywhere.
        arguments=(-namespace- NativeAlloc.Tests.Architecture -namespace- NativeAlloc.SystemTests.GeneratedCode
            -namespace- NativeAlloc.SystemTests.Packaging)
    fi
    $wine "$out/$project/$project.exe" -noColor "${arguments[@]}" < /dev/null || failed=1
done
exit $failed
