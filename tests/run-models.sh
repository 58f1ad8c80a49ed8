#!/usr/bin/env bash
# Runs the models of claim, recall, depot and adoption (tests/models/models.cpp) in relacy, which tries orders and stale
# values as weak processors show them. Each has to hold, and each of its mutants has to fail. Ends with a summary.
#   tests/run-models.sh [RUNS]     of each model; 100,000 unless told otherwise
# Installs what it needs from Debian (as root).
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v g++ > /dev/null || missing+=(g++)
[ -e /usr/include/relacy/relacy.hpp ] || missing+=(relacy-dev)
if [ ${#missing[@]} != 0 ]; then
    [ "${1:-}" != --if-installed ] || { echo "SKIPPED the models: needs ${missing[*]} (apt-get install)"; exit 0; }
    apt-get install -y "${missing[@]}"
fi
[ "${1:-}" != --if-installed ] || shift

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
g++ -std=c++14 -O1 -w tests/models/models.cpp -o "$out/models" # the warnings are those of relacy's headers
"$out/models" "$@"
