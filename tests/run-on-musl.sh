#!/usr/bin/env bash
# Runs the smoke program as a linux-musl-x64 program, on Debian's musl. The runtime needs libstdc++, of which Debian has
# none for musl: glibc's takes its place, with the few symbols that musl has not from a library that is made here. So
# this is a vehicle for tests and no Alpine. Ends with the program's own summary. Installs what it needs (as root).
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

missing=()
[ -e /lib/ld-musl-x86_64.so.1 ] || missing+=(musl)
command -v gcc > /dev/null || missing+=(gcc libc6-dev)
if [ ${#missing[@]} != 0 ]; then
    [ "${1:-}" != --if-installed ] || { echo "SKIPPED musl: needs ${missing[*]} (apt-get install)"; exit 0; }
    apt-get install -y "${missing[@]}"
fi

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/lib"
cat > "$out/shim.c" <<'EOF'
#include <stddef.h>
// What glibc and libgcc have and musl has not. Only what the runtime really calls does something.
typedef unsigned int pthread_key_t;
extern int pthread_key_create(pthread_key_t *, void (*)(void *));
extern int pthread_setspecific(pthread_key_t, const void *);
extern void *pthread_getspecific(pthread_key_t);
extern void *malloc(size_t);
extern void free(void *);
extern size_t strftime_l(char *, size_t, const char *, const void *, void *);
extern long getrandom(void *, size_t, unsigned);

char __libc_single_threaded;
struct { unsigned vendor, type, subtype, features[1]; } __cpu_model;
int __cpu_indicator_init(void) { return 0; }
int _dl_find_object(void *address, void *result) { return -1; } // libgcc then walks the loaded libraries
unsigned arc4random(void) { unsigned n; getrandom(&n, sizeof n, 0); return n; }
size_t __strftime_l(char *s, size_t n, const char *f, const void *t, void *l) { return strftime_l(s, n, f, t, l); }

// Destructors of C++ thread locals: run at the end of the thread, the last one first.
struct entry { void (*function)(void *); void *object; struct entry *next; };
static pthread_key_t key;
static int has_key;
static void run(void *list)
{
    for (struct entry *at = list, *next; at; at = next) { next = at->next; at->function(at->object); free(at); }
}
__attribute__((constructor)) static void make_key(void) { has_key = pthread_key_create(&key, run) == 0; }
int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library)
{
    struct entry *entry = has_key ? malloc(sizeof *entry) : NULL;
    if (!entry) return -1;
    entry->function = function;
    entry->object = object;
    entry->next = pthread_getspecific(key);
    return pthread_setspecific(key, entry);
}
EOF
gcc -O1 -shared -fPIC -nostdlib -w -Wl,-soname,ld-linux-x86-64.so.2 "$out/shim.c" -o "$out/lib/ld-linux-x86-64.so.2"
libraries=/usr/lib/x86_64-linux-gnu
cp "$libraries/libstdc++.so.6" "$(find /lib/x86_64-linux-gnu $libraries -name libgcc_s.so.1 | head -1)" "$out/lib"
dotnet publish tests/NativeAlloc.Smoke -r linux-musl-x64 --self-contained -o "$out/smoke" -v q
LD_LIBRARY_PATH="$out/lib" "$out/smoke/NativeAlloc.Smoke"
