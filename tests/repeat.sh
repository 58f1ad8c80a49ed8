#!/usr/bin/env bash
# Runs all tests several times, each time in a fresh clone of the last commit, and prints the summary of each run.
# usage: tests/repeat.sh [times] [--busy N]
#   times     how many runs, 10 by default
#   --busy N  two busy loops run on each core during the last N runs
# The output of a run that fails stays, and its place is printed. Exit code: how many runs failed.
set -euo pipefail
times=10 busy=0
while [ $# -gt 0 ]; do
    case $1 in
        --busy) busy=$2; shift 2 ;;
        *) times=$1; shift ;;
    esac
done
for number in "$times" "$busy"; do
    [[ $number =~ ^[0-9]+$ ]] || { sed -n '2,6s/^# //p' "$0"; exit 2; }
done

repository=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
folder=$(mktemp -d "${TMPDIR:-/tmp}/repeat-XXXXXX")
loops=()
stop_loops() { [ ${#loops[@]} = 0 ] || kill "${loops[@]}" 2>/dev/null || true; loops=(); }
trap 'stop_loops; rm -rf "$folder"/clone-*; rmdir "$folder" 2>/dev/null || true' EXIT
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

failed=0
for ((run = 1; run <= times; run++)); do
    # The runner orders tests by the path of their assembly, so each run has an order of its own.
    clone=$folder/clone-$run
    git clone -q "$repository" "$clone"
    load=""
    if ((run > times - busy)); then
        load=", with busy loops"
        for ((i = 0; i < 2 * $(nproc); i++)); do
            while :; do :; done &
            loops+=($!)
        done
    fi
    output=$folder/run-$run.txt
    result=passed
    (cd "$clone" && dotnet test) >"$output" 2>&1 || { result=failed; failed=$((failed + 1)); }
    stop_loops
    rm -rf "$clone"
    echo "run $run$load: $result"
    grep -E "^ *(total|failed|succeeded|skipped|duration):|^Test run summary" "$output" | sed 's/^ */    /' || tail -n 5 "$output"
    if [ $result = failed ]; then
        grep -E "^failed " "$output" | sed 's/^/    /' || true
        echo "    all of it: $output"
    else
        rm "$output"
    fi
done
exit $failed
