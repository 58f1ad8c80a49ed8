# Read by tests/run-native.sh: programs and their tests, each run with and without the library. The scripts' output must
# not depend on time, addresses or chance.

compare "bash: subshells, pipes and substitutions" bash <<'EOF'
for i in $(seq 40); do x=$(echo "$i" | tr 0-9 a-j); y=$( (echo "$x"; echo "$x") | sort -u | wc -l ); echo "$x $y"; done
declare -A a; for i in $(seq 20000); do a[$i]=$((i * i)); done; echo "${#a[@]} ${a[777]}"
yes | head -1; echo "${PIPESTATUS[@]}"
EOF

compare "coreutils: sort with threads, sed, awk, tar, gzip" sort sed awk tar gzip <<'EOF'
seq 300000 | awk '{ print ($1 * 7919) % 300007, $1 }' > numbers
sort -n --parallel=4 -S 8M numbers | sha256sum
sort -r numbers | sed 's/7/seven/g' | uniq | sha256sum
mkdir tree; for i in $(seq 100); do head -c $((i * 997)) numbers > tree/$i; done
tar c --sort=name --mtime=@0 tree | gzip -n > tree.tgz; sha256sum tree.tgz; tar tzf tree.tgz | wc -l
EOF

compare "sqlite3: tables, indexes, JSON, windows, vacuum" sqlite3 <<'EOF'
sqlite3 data.db <<'SQL'
CREATE TABLE t(id INTEGER PRIMARY KEY, a INT, b TEXT, c BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
INSERT INTO t SELECT i, (i * 7919) % 10007, printf('%d-%s', i, hex(i * 31)), zeroblob(i % 200) FROM n;
CREATE INDEX ta ON t(a); CREATE INDEX tb ON t(b, a);
SELECT count(*), sum(a), min(b), max(b), sum(length(c)) FROM t;
SELECT a, count(*) c FROM t GROUP BY a HAVING c > 14 ORDER BY c DESC, a LIMIT 20;
SELECT id, a, sum(a) OVER (PARTITION BY a % 7 ORDER BY id ROWS 5 PRECEDING) FROM t WHERE id % 9973 = 0;
SELECT json_group_array(json_object('id', id, 'b', b)) FROM t WHERE a = 4242;
UPDATE t SET b = b || '-' || a WHERE id % 3 = 0; DELETE FROM t WHERE id % 5 = 0;
SELECT count(*) FROM t x JOIN t y ON x.a = y.a WHERE x.id < 2000;
VACUUM; PRAGMA integrity_check;
SQL
sqlite3 data.db .dump | sha256sum
EOF

compare "redis-server: a data set, bgsave, reload, rewritten log" redis-server redis-cli <<'EOF'
ask() { redis-cli -s "$PWD/socket" "$@"; }
redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' --enable-debug-command yes --io-threads 2 \
    --appendonly no --logfile log > /dev/null 2>&1 &
server=$!
for _ in $(seq 100); do ask ping > /dev/null 2>&1 && break; sleep 0.1; done
ask debug populate 100000 key 300
{ for i in $(seq 20000); do echo "RPUSH list$((i % 50)) element$i"; echo "ZADD set$((i % 20)) $i member$i"
    echo "HSET hash$((i % 100)) field$i value$i"; done; } | ask > /dev/null
ask dbsize; before=$(ask debug digest); echo "$before"
ask bgsave
for _ in $(seq 300); do ask info persistence | grep -q rdb_bgsave_in_progress:0 && break; sleep 0.1; done
ask info persistence | grep -E 'rdb_last_bgsave_status' | tr -d '\r'
ask config set appendonly yes
for _ in $(seq 300); do ask info persistence | grep -q aof_rewrite_in_progress:0 && break; sleep 0.1; done
ask info persistence | grep -E 'aof_last_bgrewrite_status' | tr -d '\r'
ask config set appendonly no
ask debug reload; [ "$(ask debug digest)" = "$before" ] && echo "the same after a reload"
for i in $(seq 0 9); do ask eval "local s = 0; for i = 1, 20000 do s = s + #tostring(i) end; return s" 0; done
ask flushall async; ask dbsize
ask shutdown nosave; wait $server; echo "exit code $?"
grep -ciE 'crash|assert|out of memory' log
EOF

compare "perl: hashes, regular expressions, threads, fork" perl <<'EOF'
cat > script.pl <<'PERL'
use strict; use warnings; use Config; use List::Util qw(sum); use Digest::SHA qw(sha256_hex); use Storable qw(dclone);
my (%h, @a);
for my $i (1 .. 200_000) { $h{"k" . $i * 7919 % 100_003} .= chr(65 + $i % 26); push @a, "x" x ($i % 50) if $i % 10 == 0 }
print scalar(keys %h), " ", sha256_hex(join ",", map { "$_=$h{$_}" } sort keys %h), "\n";
my $text = join " ", @a; my $n = () = $text =~ /(x{3,7}) (x+)/g; print "$n\n"; $text =~ s/(x+)/length $1/ge; print sha256_hex($text), "\n";
my $deep = { map { $_ => [1 .. $_ % 100] } 1 .. 3000 }; my $copy = dclone($deep); print sum(map { scalar @$_ } values %$copy), "\n";
for (1 .. 10) { my $pid = fork; if (!$pid) { my @b = map { "$_" x 100 } 1 .. 5000; exit(@b == 5000 ? 7 : 1) } waitpid $pid, 0; print $? >> 8, "\n" }
if ($Config{useithreads}) { require threads; my @t = map { my $k = $_; threads->create(sub { my @b = map { "$_$k" } 1 .. 20000; scalar @b }) } 1 .. 4; print $_->join, "\n" for @t }
PERL
perl script.pl
EOF

compare "lua: tables, strings, coroutines, collections" lua5.4 <<'EOF'
cat > script.lua <<'LUA'
local t, s = {}, 0
for i = 1, 300000 do t[i] = { n = i, s = ("%05d"):format(i * 7919 % 100003) } end
table.sort(t, function(a, b) return a.s < b.s or a.s == b.s and a.n < b.n end)
for i = 1, #t, 1000 do s = s + t[i].n * i end
print(s)
local parts = {}
for i = 1, 20000 do parts[#parts + 1] = t[i].s:rep(i % 9) end
local text = table.concat(parts); print(#text, select(2, text:gsub("0+1", "x")))
local made = coroutine.wrap(function() for i = 1, 50000 do coroutine.yield({ i }) end end)
local sum = 0; for i = 1, 50000 do sum = sum + made()[1] end
t = nil; collectgarbage(); print(sum, collectgarbage("count") < 20000)
LUA
lua5.4 script.lua
EOF

compare "gcc: C and C++ with templates, optimized" gcc g++ sha256sum <<'EOF'
cat > a.cc <<'CC'
#include <algorithm>
#include <iostream>
#include <map>
#include <regex>
#include <string>
#include <thread>
#include <vector>
int main() {
    std::map<std::string, std::vector<int>> m;
    for (int i = 0; i < 50000; i++) m[std::to_string(i * 7919 % 1009)].push_back(i);
    std::vector<std::thread> all; long sums[4] = {};
    for (int k = 0; k < 4; k++) all.emplace_back([&, k] { for (auto &p : m) { std::vector<int> c(p.second); std::sort(c.rbegin(), c.rend()); sums[k] += c[k]; } });
    for (auto &t : all) t.join();
    std::regex r("([0-9]+)7"); int n = 0; for (auto &p : m) n += std::regex_search(p.first, r);
    std::cout << m.size() << " " << sums[0] << " " << sums[3] << " " << n << "\n";
}
CC
g++ -O2 -std=c++17 -S a.cc -o a.s && sha256sum a.s && g++ -O2 a.s -o a -pthread && ./a
{ for i in $(seq 300); do echo "int f$i(int x) { int s = $i; for (int i = 0; i < x; i++) s += s << (i & 3) ^ x; return s; }"; done; } > b.c
gcc -O2 -c b.c -o b.o && sha256sum b.o && gcc -O3 -flto -shared -fPIC b.c -o b.so && nm -D b.so | grep -c ' T f'
EOF

compare "zstd and xz: all levels, threads, round trips" zstd xz <<'EOF'
seq 150000 | awk '{ print $1 * 7919 % 100003, "some text", $1 % 17 }' > data
for level in 1 5 9 15; do zstd -q -$level -T4 data -o data.$level.zst && sha256sum < data.$level.zst && zstd -dc data.$level.zst | cmp - data; done
zstd -q --ultra -20 --long=27 data -o long.zst && zstd -dc --long=27 long.zst | cmp - data && sha256sum < long.zst
xz -k -T4 --block-size=1MiB data && xz -dc data.xz | cmp - data && sha256sum < data.xz
EOF

compare "openssl: digests, ciphers, keys, certificates" openssl <<'EOF'
seq 500000 > data
for digest in sha256 sha512 sha3-256 blake2b512 md5; do openssl dgst -$digest data; done
openssl enc -aes-256-ctr -K "$(printf '%064d' 7)" -iv "$(printf '%032d' 3)" -in data -out data.enc && sha256sum data.enc
openssl enc -d -aes-256-ctr -K "$(printf '%064d' 7)" -iv "$(printf '%032d' 3)" -in data.enc | cmp - data
for kind in "RSA -pkeyopt rsa_keygen_bits:2048" "EC -pkeyopt ec_paramgen_curve:P-256" ED25519; do
    openssl genpkey -algorithm $kind -out key 2> /dev/null && openssl req -x509 -new -key key -subj /CN=test -days 2 -out cert \
        && openssl verify -CAfile cert cert
done
openssl genpkey -algorithm RSA -out key 2> /dev/null; openssl rsa -in key -check -noout
openssl dgst -sha256 -sign key -out signature data && openssl dgst -sha256 -prverify key -signature signature data
EOF

compare "python3: every object from malloc, threads, processes" python3 <<'EOF'
export PYTHONMALLOC=malloc PYTHONHASHSEED=0
cat > script.py <<'PY'
import collections, concurrent.futures, hashlib, itertools, json, multiprocessing, re, sqlite3, subprocess, threading, zlib
def work(n):
    rows = [(i, str(i * n), b"x" * (i % 100)) for i in range(5000)]
    return hashlib.sha256(repr(rows).encode()).hexdigest()[:8]
if __name__ == "__main__":
    d = collections.defaultdict(list)
    for i in range(200000): d[i * 7919 % 10007].append(str(i))
    print(hashlib.sha256(json.dumps(d).encode()).hexdigest())
    text = " ".join(itertools.chain.from_iterable(list(d.values())[:2000]))
    print(len(re.findall(r"(\d)\d*\1", text)), hashlib.sha256(zlib.compress(text.encode())).hexdigest())
    with concurrent.futures.ThreadPoolExecutor(6) as pool: print(list(pool.map(work, range(20))))
    with multiprocessing.get_context("fork").Pool(3) as pool: print(pool.map(work, range(20)))
    with multiprocessing.get_context("spawn").Pool(2) as pool: print(pool.map(work, range(6)))
    print(subprocess.run(["echo", "a child"], capture_output=True).stdout)
    seen = []
    for i in range(200):
        t = threading.Thread(target=lambda: seen.append(bytearray(10000))); t.start(); t.join()
    print(len(seen))
    db = sqlite3.connect(":memory:"); db.execute("create table t(a, b)")
    db.executemany("insert into t values(?, ?)", ((i, "x" * (i % 300)) for i in range(50000)))
    print(db.execute("select count(*), sum(length(b)) from t").fetchone())
PY
python3 script.py
EOF

# CPython's own tests: only their verdicts are compared, as they print times. One case is left out: it counts the open
# files of a process, of which the runtime has one.
modules="test_array test_bytes test_bz2 test_capi test_ctypes test_deque test_dict test_fork1 test_gc test_io \
    test_json test_list test_memoryview test_mmap test_pickle test_queue test_re test_set test_sqlite3 test_ssl \
    test_struct test_subprocess test_thread test_threading test_unicode test_weakref test_zlib"
[ "$part" = full ] && modules="-x test_gdb test_idle test_tools test_distutils test_ensurepip test_venv"
if /usr/bin/python3 -c 'import test.test_dict' 2> /dev/null; then
    for module in $modules; do
        [ "$part" = full ] && break
        seconds=600 compare "CPython: $module" python3 <<EOF
PYTHONMALLOC=malloc /usr/bin/python3 -m test -i test_pass_fds_redirected $module > text 2>&1; code=\$?
grep -E 'Tests result|^Total test files|tests? failed' text | sed 's/^== //; s/ ==\$//'
[ \$code = 0 ] || grep -E '^(ERROR|FAIL):' text | sort
exit \$code
EOF
    done
    if [ "$part" = full ]; then
        seconds=7200 compare "CPython: all tests" python3 <<EOF
PYTHONMALLOC=malloc /usr/bin/python3 -m test -j2 -i test_pass_fds_redirected $modules > text 2>&1
sed -n '/tests\? failed:/,/^\$/p; /tests OK/p' text
EOF
    fi
else
    skipped=$((skipped + 1))
    echo "  skipped CPython's own tests: apt-get install libpython3-testsuite"
fi
