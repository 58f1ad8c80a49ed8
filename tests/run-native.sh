#!/usr/bin/env bash
# Builds libnativealloc.so (docs/native.md) and runs programs of Debian over it, by LD_PRELOAD. Each runs without it
# first: output and exit code have to be the same. What is not installed is skipped. Ends with a summary.
#   tests/run-native.sh            what C promises (tests/native/semantics.c), programs, a part of CPython's own tests
#   tests/run-native.sh semantics  the first of these alone
#   tests/run-native.sh full       all tests of CPython that it can run (an hour)
# For all of it: apt-get install gcc g++ sqlite3 redis-server python3 libpython3-testsuite perl lua5.4 zstd xz-utils
# openssl. LIBNATIVEALLOC=FILE takes a library that was built before.
set -uo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

if ! command -v gcc > /dev/null; then
    if [ "${1:-}" = --if-installed ]; then echo "SKIPPED the native library: needs gcc (apt-get install gcc)"; exit 0; fi
    echo "needs gcc (apt-get install gcc)"
    exit 1
fi
[ "${1:-}" != --if-installed ] || shift
part=${1:-programs}

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
source=$PWD
library=${LIBNATIVEALLOC:-}
if [ -z "$library" ]; then
    dotnet publish src/NativeAlloc.Native -c Release -o "$out/library" -v q || exit 1
    library=$out/library/libnativealloc.so
fi
library=$(realpath "$library")
passed=0 failed=0 skipped=0
export -n LD_PRELOAD

result() { # text, 0 for passed
    if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "  ok      $1"; else failed=$((failed + 1)); echo "  FAILED  $1"; fi
}

# A script (from stdin) runs twice, each time in an empty folder: as it is, and over the library.
compare() { # title, programs that it needs; the variable "seconds" bounds each run
    local title=$1 program plain=0 preloaded=0; shift
    cat > "$out/script"
    for program in "$@"; do
        command -v "$program" > /dev/null && continue
        skipped=$((skipped + 1))
        echo "  skipped $title: needs $program"
        return
    done
    rm -rf "$out/run"; mkdir "$out/run"
    (cd "$out/run" && timeout "${seconds:-600}" bash "$out/script") > "$out/plain" 2>&1 < /dev/null || plain=$?
    rm -rf "$out/run"; mkdir "$out/run"
    (cd "$out/run" && LD_PRELOAD=$library timeout "${seconds:-600}" bash "$out/script") > "$out/preloaded" 2>&1 \
        < /dev/null || preloaded=$?
    if [ $plain = 124 ] || [ $preloaded = 124 ]; then
        result "$title: not finished in ${seconds:-600} s" 1
    elif [ $plain = $preloaded ] && cmp -s "$out/plain" "$out/preloaded"; then
        result "$title ($(wc -c < "$out/plain") bytes of output, exit code $plain)" 0
    else
        result "$title: exit code $plain without, $preloaded with the library" 1
        diff "$out/plain" "$out/preloaded" | head -20
    fi
}

echo "what C promises"
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-result -fno-builtin tests/native/semantics.c -o "$out/semantics" \
    -pthread || exit 1
semantics() { # title, argument, environment
    local title=$1 argument=$2; shift 2
    env "$@" timeout 600 "$out/semantics" $argument > "$out/text" 2>&1
    local code=$?
    result "$title: $(tail -1 "$out/text")" $code
    grep FAILED "$out/text"
}
semantics "the C library's own" ""
semantics "libnativealloc.so" ours LD_PRELOAD="$library"
semantics "with guard sampling" ours LD_PRELOAD="$library" NATIVEALLOC_GUARD=50
semantics "in check mode" ours LD_PRELOAD="$library" NATIVEALLOC_CHECK=1
semantics "a wrong option leaves the C library's" "" LD_PRELOAD="$library" NATIVEALLOC_RESERVE_BYTES=nonsense
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -Isrc/NativeAlloc.Native tests/native/linked.c -o "$out/linked" "$library" \
    && LD_LIBRARY_PATH=$(dirname "$library") "$out/linked" > "$out/text" 2>&1
code=$?
result "linked to a program: $(tail -1 "$out/text")" $code
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -DLOADED tests/native/linked.c -Isrc/NativeAlloc.Native -o "$out/loaded" \
    && "$out/loaded" "$library" > "$out/text" 2>&1
code=$?
result "loaded by a program: $(tail -1 "$out/text")" $code

if [ "$part" != semantics ]; then
    echo "programs"
    # shellcheck source=/dev/null
    . tests/native/programs.sh
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
