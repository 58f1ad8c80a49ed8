#!/usr/bin/env bash
# Runs ONNX Runtime with its memory from NativeAlloc, on one model, and checks each number of its output. Its NuGet
# package has the libraries of all systems, 160 MB, so `dotnet test` leaves it out. Ends with the client's row: memory,
# milliseconds, peak resident KiB, blocks that are live at the end.
#   tests/run-onnxruntime.sh --if-installed   only where the package has been downloaded before
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

package=${NUGET_PACKAGES:-$HOME/.nuget/packages}/microsoft.ml.onnxruntime
if [ "${1:-}" = --if-installed ] && [ ! -d "$package" ]; then
    echo "SKIPPED ONNX Runtime: needs its package (tests/run-onnxruntime.sh downloads it)"
    exit 0
fi
dotnet run -c Release -p:WithOnnxRuntime=true --project tests/NativeAlloc.Clients -- onnxruntime native 1
