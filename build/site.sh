#!/usr/bin/env bash
# Makes the documentation site, with the reference of the public API, in artifacts/site. A broken link, or a name in the
# documentation that stands for nothing, is an error.
#
#   build/site.sh             makes it
#   build/site.sh --serve     makes it and serves it at http://localhost:8080
#
# It needs the .NET SDK. docfx comes from NuGet, in the version that .config/dotnet-tools.json names.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
serve=${1:-}
[ -z "$serve" ] || [ "$serve" = --serve ] || { echo "build/site.sh knows only --serve, not $serve" >&2; exit 2; }

fail() {
    echo "$1" >&2
    exit 1
}

command -v dotnet > /dev/null || fail "The site needs the .NET SDK: there is no 'dotnet' on the path."
mkdir -p artifacts
restored=$(dotnet tool restore 2>&1) || fail "$restored

The site needs docfx, and it could not be restored. It is a NuGet package, in the version that .config/dotnet-tools.json
names. 'dotnet nuget list source' shows where packages come from; one source has to have it and be reachable."

# The reference is made from the assemblies and the documentation beside them, as users get them. Other builds have
# run the analyzers.
rm -rf artifacts/api artifacts/site
built=$(dotnet build src/NativeAlloc.AspNetCore -c Debug -v quiet -p:RunAnalyzers=false 2>&1) || fail "$built"
for step in metadata build; do
    options=(--warningsAsErrors --logLevel warning)
    [ $step = metadata ] || options+=(--disableGitFeatures)
    dotnet docfx $step docfx.json "${options[@]}" || fail "The site was not made: see the lines above."
done
echo "$(find artifacts/site -name '*.html' ! -name toc.html | wc -l) pages: $PWD/artifacts/site/index.html"
echo "Browsers show it from a server only: build/site.sh --serve"
[ -z "$serve" ] || dotnet docfx serve artifacts/site
