#!/usr/bin/env bash
# Tests of the tests: changes the library by one line at a time, in a copy, and runs the tests that should notice.
#
#   tests/mutants.sh [--check] [NAME...]
#
# The mutants stand in tests/mutants.txt; without names all are taken. --check only looks whether each of them still
# fits the sources (its line is there, once), which takes a second. Otherwise the tests are built once, and for each
# mutant the library alone is, and one or two test classes, or methods, run until a test fails: half a minute or so. It
# is printed as killed (a test failed, or did not end), survived, or broken (it does not build). The exit code is 0 if
# none survived and none was broken. As the tests are not built again, a mutant may not change a constant that they use.
set -euo pipefail
cd "$(dirname "$0")/.."
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
only_check=
if [ "${1:-}" = --check ]; then only_check=1; shift; fi

copy=$(mktemp -d "${TMPDIR:-/tmp}/mutants.XXXXXX")
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"

longest=300 # seconds; a mutant that hangs is killed, too
failed=0 killed=0 all=0

bin=$copy/bin library=$copy/src/NativeAlloc
if [ -z "$only_check" ]; then
    dotnet build tests/NativeAlloc.Tests -v q --nologo > "$copy/build.log" 2>&1 \
        || { tail -5 "$copy/build.log"; exit 1; }
    cp -r tests/NativeAlloc.Tests/bin/Debug/net10.0 "$bin"
    dotnet restore "$library" -v q > "$copy/build.log" 2>&1 || { tail -5 "$copy/build.log"; exit 1; }
fi

# The library of the copy. The rules of style are not asked: they are not what should notice a mutant.
build() {
    dotnet build "$library" --no-restore --no-dependencies -v q --nologo -p:RunAnalyzers=false \
        -p:TreatWarningsAsErrors=false > "$copy/build.log" 2>&1 \
        && cp "$library"/bin/Debug/net10.0/NativeAlloc.{dll,pdb} "$bin"
}

# Replaces the one line of a file that is the old one, or, behind a text that the file has once, the first that is; what
# stands before the line's first letter stays.
mutate() {
    OLD="$2" NEW="$3" AFTER="$4" perl -0777 -i -pe '
        my ($begin, $rest) = ("", $_);
        if ($ENV{AFTER} ne "") {
            my $times = () = /\Q$ENV{AFTER}\E/g;
            if ($times != 1) { print STDERR "$times times: $ENV{AFTER}"; exit 1 }
            /\Q$ENV{AFTER}\E/;
            ($begin, $rest) = ($` . $&, $'"'"');
        }
        my $n = () = $rest =~ /^[ \t]*\Q$ENV{OLD}\E$/mg;
        if ($n == 0 || ($n > 1 && $ENV{AFTER} eq "")) { print STDERR "$n times: $ENV{OLD}"; exit 1 }
        $rest =~ s/^([ \t]*)\Q$ENV{OLD}\E$/$1$ENV{NEW}/m;
        $_ = $begin . $rest' "$1"
}

run() {
    local name=$1 file=$2 tests=$3 old=$4 new=$5 after=$6
    if ! mutate "$copy/$file" "$old" "$new" "$after" 2> "$copy/why"; then
        echo "BROKEN    $name: $file has $(cat "$copy/why")"
        failed=1
        cp "$file" "$copy/$file"
        return
    fi
    if [ -n "$only_check" ]; then
        echo "FITS      $name"
    elif ! build; then
        echo "BROKEN    $name does not build"
        failed=1
    else
        local filters=() class by
        for class in $tests; do
            case $class in
                *_*) filters+=(--filter-method "NativeAlloc.Tests.$class") ;;
                *) filters+=(--filter-class "NativeAlloc.Tests.$class") ;;
            esac
        done
        all=$((all + 1))
        # A process that ends itself is reported by the shell, which is no news here.
        if { timeout $longest dotnet "$bin/NativeAlloc.Tests.dll" --no-progress --stop-on-fail on "${filters[@]}" \
            > "$copy/run.log" 2>&1; } 2> /dev/null; then
            echo "SURVIVED  $name"
            failed=1
        elif grep -q "Zero tests ran" "$copy/run.log"; then
            echo "BROKEN    $name: there are no tests $tests"
            failed=1
        else
            killed=$((killed + 1))
            by=$(grep -m1 '^failed ' "$copy/run.log" | sed 's/^failed //; s/ (.*//' || true)
            echo "killed    $name by ${by:-the end of the process, or that of the time}"
        fi
    fi
    cp "$file" "$copy/$file"
}

wanted=" $* "
name= file= tests= after= old= new=
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
        '#'*|'') ;;
        'mutant: '*) name=${line#mutant: } after= ;;
        'file: '*) file=${line#file: } ;;
        'tests: '*) tests=${line#tests: } ;;
        'after: '*) after=${line#after: } ;;
        'old: '*) old=${line#old: } ;;
        'new: '*)
            new=${line#new: }
            if [ "$wanted" = "  " ] || [[ "$wanted" == *" $name "* ]]; then
                run "$name" "$file" "$tests" "$old" "$new" "$after" < /dev/null
            fi ;;
    esac
done < tests/mutants.txt
[ -n "$only_check" ] || echo "$killed of $all were killed"
exit $failed
