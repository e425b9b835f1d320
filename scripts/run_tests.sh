#!/usr/bin/env bash
# Runs the whole suite: the backend's tests, then the add-on's in every Blender environment.
# Closes with one line that adds up all runs.
set -u
cd "$(dirname "$0")/.."
status=0
passed=0 failed=0 skipped=0
count() {  # count WORD FILE: the number before WORD in pytest's closing line
    grep -E '(passed|failed|error|skipped).* in ' "$2" | tail -n 1 | grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0
}
run() {  # run NAME PYTHON ARGUMENT...
    local name=$1 python=$2 log
    shift 2
    log=$(mktemp)
    echo "== $name"
    "$python" -m pytest "$@" 2>&1 | tee "$log"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || { status=1; echo "== $name ended with exit code $code"; }
    passed=$((passed + $(count passed "$log")))
    failed=$((failed + $(count failed "$log") + $(count error "$log")))
    skipped=$((skipped + $(count skipped "$log")))
    rm -f "$log"
}
run "backend" .venvs/backend/bin/python tests --ignore=tests/blender --ignore=tests/install --ignore=tests/gui "$@"
for python in .venvs/blender-*/bin/python; do
    run "$(basename "$(dirname "$(dirname "$python")")")" "$python" tests/blender "$@"
done
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
