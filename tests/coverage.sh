#!/usr/bin/env bash
# Which lines of src/NativeAlloc the tests go through, and which they do not.
#
#   tests/coverage.sh [FILTER...]
#
# Without filters all tests of tests/NativeAlloc.Tests run, which takes some minutes; filters are those of the test
# program, such as --filter-class NAME. Tests that try all orders of steps take very long when they are measured
# (--filter-not-class "*RecallOrdersTests" "*.ScheduleTests" "*DepotStackTests" leaves them out). The tests are built
# and run in a copy, with a package added that measures (coverlet.MTP); tests that run the library in a process of their
# own add nothing. Prints for each file the lines that were gone through, and those that were not, then the share of
# all. The exit code is that of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
version=10.1.0

copy=$(mktemp -d "${TMPDIR:-/tmp}/coverage.XXXXXX")
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
project=$copy/tests/NativeAlloc.Tests
# It needs the second version of the testing platform, for which xunit has a package of its own.
sed -i "s|<PackageVersion Include=\"xunit.v3\"|<PackageVersion Include=\"coverlet.MTP\" Version=\"$version\" />\
    <PackageVersion Include=\"xunit.v3.mtp-v2\"|" "$copy/Directory.Packages.props"
sed -i 's|<PackageReference Include="xunit.v3" />|<PackageReference Include="coverlet.MTP" />\
    <PackageReference Include="xunit.v3.mtp-v2" />|' "$project/NativeAlloc.Tests.csproj"
dotnet build "$project" -v q --nologo -p:RunAnalyzers=false > "$copy/build.log" 2>&1 \
    || { tail -5 "$copy/build.log"; exit 1; }
failed=0
# Unless it is told what to leave out, it leaves out the library.
dotnet "$project/bin/Debug/net10.0/NativeAlloc.Tests.dll" --results-directory "$copy/results" --coverlet \
    --coverlet-include "[NativeAlloc]*" --coverlet-exclude "[coverlet.*]*" --coverlet-output-format cobertura "$@" \
    || failed=$?
report=$(find "$copy" -name '*cobertura*.xml' | head -1)
[ -n "$report" ] || { echo "there is no report"; exit 1; }

# A line is there once for each class or closure that has a part of it.
python3 - "$report" <<'PYTHON'
import re, sys, xml.etree.ElementTree as xml
files = {}
for each in xml.parse(sys.argv[1]).iter("class"):
    name = re.sub(r"^.*src/NativeAlloc/", "", each.get("filename"))
    lines = files.setdefault(name, {})
    for line in each.iter("line"):
        number = int(line.get("number"))
        lines[number] = max(lines.get(number, 0), int(line.get("hits")))
all_lines = all_hit = 0
for name, lines in sorted(files.items()):
    missed = sorted(number for number, hits in lines.items() if hits == 0)
    all_lines += len(lines)
    all_hit += len(lines) - len(missed)
    ranges = []
    for number in missed:
        if ranges and number <= ranges[-1][1] + 2: ranges[-1][1] = number
        else: ranges.append([number, number])
    text = " ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)
    print(f"{(len(lines) - len(missed)) / len(lines):6.1%}  {name}" + (f": {text}" if text else ""))
print(f"{all_hit / all_lines:6.1%}  of {all_lines} lines")
PYTHON
exit $failed
