#!/usr/bin/env bash
# Publishes the smoke program in each way there is, runs it, and prints a table (docs/publish.md has one): whether all
# parts passed, and nanoseconds for an allocation with its free, of small blocks and of a mix up to 16 KiB.
#   tests/run-publish-matrix.sh [RID]           linux-x64 unless told otherwise
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
rid=${1:-linux-x64}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

publish() { # name, options
    local name=$1; shift
    dotnet publish tests/NativeAlloc.Smoke -c Release -r "$rid" -o "$out/$name" -v q "$@" > "$out/$name.log" 2>&1
}

row() { # title, folder, argument, environment
    local title=$1 program="$out/$2/NativeAlloc.Smoke" argument=$3; shift 3
    local text result
    text=$(env "$@" "$program" "$argument" 2>&1) || failed=1
    result=$(grep -E '^[0-9]+ passed' <<< "$text" | tail -1) || { result=crashed; failed=1; }
    local small mixed
    small=$(sed -n 's/^  small *//p' <<< "$text"); mixed=$(sed -n 's/^  mixed *//p' <<< "$text")
    printf '| %s | %s | %s | %s |\n' "$title" "$result" "${small:-–}" "${mixed:-–}"
}

printf '| way to publish or to run | smoke | small | mixed |\n|---|---|---|---|\n'
if publish dependent --self-contained false; then
    row 'framework-dependent' dependent times
    row 'server GC' dependent times DOTNET_gcServer=1
    row '`DOTNET_TieredPGO=0`' dependent times DOTNET_TieredPGO=0
    row '`DOTNET_TieredCompilation=0`' dependent times DOTNET_TieredCompilation=0
    row '`DOTNET_ReadyToRun=0`' dependent times DOTNET_ReadyToRun=0
    row 'two load contexts, one collectible' dependent contexts
fi
if publish contained --self-contained; then row 'self-contained' contained times; fi
if publish single --self-contained -p:PublishSingleFile=true; then row 'single file' single times; fi
if publish trimmed --self-contained -p:PublishTrimmed=true; then row 'trimmed' trimmed times; fi
if publish ready --self-contained -p:PublishReadyToRun=true -p:NoWarn=NU1505; then row 'ReadyToRun' ready times; fi
if publish aot -p:PublishAot=true; then row 'NativeAOT' aot times; fi
for log in "$out"/*.log; do grep -H 'error' "$log" && failed=1; done
exit $failed
