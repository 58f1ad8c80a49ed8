#!/usr/bin/env bash
# Runs the smoke program on arm64, with system pages of 4, 16 and 64 KiB: compiled ahead of time, under qemu.
# Ends with the program's own summary for each page size. Installs what it needs from Debian (as root).
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

missing=()
command -v qemu-aarch64-static > /dev/null || missing+=(qemu-user-static)
command -v aarch64-linux-gnu-g++ > /dev/null || missing+=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu)
if [ ${#missing[@]} != 0 ]; then
    [ "${1:-}" != --if-installed ] || { echo "SKIPPED arm64: needs ${missing[*]} (apt-get install)"; exit 0; }
    apt-get install -y "${missing[@]}"
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# The compiler calls its linker as clang is called; gcc does not know the option that names the target.
cat > "$out/linker" <<'EOF'
#!/usr/bin/env bash
arguments=()
for argument in "$@"; do [[ $argument == --target=* ]] || arguments+=("$argument"); done
exec aarch64-linux-gnu-gcc "${arguments[@]}"
EOF
chmod +x "$out/linker"
dotnet publish tests/NativeAlloc.Smoke -c Release -r linux-arm64 -p:PublishAot=true -p:SysRoot=/ -p:LinkerFlavor=bfd \
    -p:CppCompilerAndLinker="$out/linker" -p:ObjCopyName=aarch64-linux-gnu-objcopy -o "$out/smoke" -v q

# qemu keeps records of all reserved addresses.
export NATIVEALLOC_RESERVE_BYTES=1G NATIVEALLOC_VMALLOC_RESERVE_BYTES=4G
failed=0
for page in 4096 16384 65536; do
    qemu-aarch64-static -p $page -L /usr/aarch64-linux-gnu "$out/smoke/NativeAlloc.Smoke" || failed=1
done
exit $failed
