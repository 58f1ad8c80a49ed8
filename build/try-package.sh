#!/usr/bin/env bash
# The way of a newcomer, in a clean folder outside the tree: packs the library, makes a new console program that knows
# the package from a local folder only, runs it, and publishes it in each way and runs that. Prints the time of each step.
#
#   build/try-package.sh [way...]     ways: run self-contained single-file trimmed aot; all of them if none is named
#
# The packages of the runtime come from the sources that are configured for the user. AOT needs clang or gcc.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 MSBUILDDISABLENODEREUSE=1
version=0.0.0-try.$(date +%s)
ways=("$@")
[ ${#ways[@]} -gt 0 ] || ways=(run self-contained single-file trimmed aot)

timed() {
    local what=$1 start=$SECONDS
    shift
    "$@" > "$folder/log" 2>&1 || { echo "$what failed"; tail -20 "$folder/log"; exit 1; }
    echo "$what: $((SECONDS - start)) s"
}

timed "pack" dotnet pack "$root/src/NativeAlloc" -c Release -o "$folder/packages" \
    --artifacts-path "$folder/artifacts" -p:Version="$version"
mkdir "$folder/app"
cd "$folder/app"
timed "dotnet new console" dotnet new console
cat > nuget.config <<CONFIG
<configuration>
  <packageSources>
    <add key="local" value="$folder/packages" />
  </packageSources>
</configuration>
CONFIG
cat > Program.cs <<'CODE'
using System.Runtime.InteropServices;
using NativeAlloc;

nint buffer = HGlobal.AllocHGlobal(4 * sizeof(int));
Marshal.Copy(new[] { 3, 1, 4, 1 }, 0, buffer, 4);
buffer = HGlobal.ReAllocHGlobal(buffer, 100_000);
int[] copy = new int[4];
Marshal.Copy(buffer, copy, 0, 4);
HGlobal.FreeHGlobal(buffer);
using NativeBuffer<int> numbers = new(1_000, zeroed: true);
using (NativeHeap heap = new("try")) unsafe { heap.Alloc(100); }
Console.WriteLine($"{string.Join(' ', copy)} {numbers.Memory.Length} {NativeAllocator.GetStatistics().LiveBlocks}");
CODE
sed -i 's|<Nullable>|<AllowUnsafeBlocks>true</AllowUnsafeBlocks><Nullable>|' app.csproj
timed "dotnet add package" dotnet add package NativeAlloc --version "$version"

check() {
    local what=$1 output
    shift
    output=$("$@" 2>&1) || { echo "$what does not run: $output"; exit 1; }
    [ "$output" = "3 1 4 1 1000 1" ] || { echo "$what says: $output"; exit 1; }
    echo "$what runs"
}

publish() {
    timed "publish, $1" dotnet publish -c Release -r linux-x64 -o "$folder/$1" "${@:2}"
    check "$1" "$folder/$1/app"
    rm -rf "$folder/$1" obj bin
}

for way in "${ways[@]}"; do
    case $way in
        run) timed "build" dotnet build -c Release; check "run" dotnet bin/Release/net10.0/app.dll ;;
        self-contained) publish "$way" --self-contained ;;
        single-file) publish "$way" --self-contained -p:PublishSingleFile=true ;;
        trimmed) publish "$way" --self-contained -p:PublishTrimmed=true ;;
        aot) publish "$way" -p:PublishAot=true ;;
        *) echo "no way is called $way"; exit 2 ;;
    esac
done
