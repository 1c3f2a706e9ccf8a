#!/usr/bin/env bash
# vigia record on the real kernel: calls made here are in the recording, it replays byte for byte,
# the second reader agrees, and a replay into a data directory leaves the ledger balanced. And with a
# selection there is nothing in the recording of containers that were not chosen. What is left in the
# rings at the end is recorded, however many blocks it takes.
# usage: test_record.sh BUILD SOURCE
set -euo pipefail
build=$1 source=$2 vigia=$1/vigia
BUILD=$1
source "$2/tests/e2e/containers.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"; box_cleanup' EXIT
fail() { echo "FAILED: $*"; exit 1; }

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
"$vigia" record "$dir/r.vgr" --host --seconds 60 --json >"$dir/report" &
record=$!
for _ in $(seq 300); do [ -s "$dir/r.vgr" ] && break; sleep 0.1; done
[ -s "$dir/r.vgr" ] || fail "nothing recorded in 30 s"
mkdir "$dir/vigia-was-here"
rmdir "$dir/vigia-was-here"
sleep 1
kill -INT $record
wait $record || fail "record: status $?"
"$vigia" replay "$dir/r.vgr" --dump >"$dir/dump"
python3 - "$dir/dump" "$dir/report" <<'PY' || fail "the recording lacks what happened"
import json, sys
report = json.load(open(sys.argv[2]))
calls = 0
names = set()
for line in open(sys.argv[1]):
    line = json.loads(line)
    if "window" in line:
        calls += len(line["window"]["calls"])
        names |= {call["name"] for call in line["window"]["calls"]}
assert calls == report["calls"] > 0 and report["balanced"], report
assert {"mkdir", "rmdir", "execve"} <= names, names
PY
"$vigia" replay "$dir/r.vgr" --copy "$dir/copy.vgr"
cmp "$dir/r.vgr" "$dir/copy.vgr" || fail "a copy has other bytes"
"$build/tests/dump_vgr" "$dir/r.vgr" >"$dir/c"
python3 "$source/tests/golden/read_vgr.py" "$dir/r.vgr" | cmp - "$dir/c" || fail "the second reader disagrees"
"$vigia" replay "$dir/r.vgr" --into "$dir/data" >/dev/null
"$vigia" ledger --data "$dir/data" --json >"$dir/ledger" 2>/dev/null || fail "ledger: $(cat "$dir/ledger")"
python3 - "$dir/ledger" "$dir/report" <<'PY' || fail "ledger: $(cat "$dir/ledger")"
import json, sys
ledger, report = (json.load(open(path)) for path in sys.argv[1:])
assert ledger["balanced"] and ledger["stored"] == report["calls"], (ledger, report)
PY
"$vigia" profiles --data "$dir/data" --json 2>/dev/null | grep '"workload":"host"' >/dev/null || fail "the host is no workload"
"$vigia" containers --data "$dir/data" --json 2>/dev/null | grep '"name":"host".*"wanted":true' >/dev/null || fail "the host is no container"
echo "record: $(cat "$dir/report")"

# While the recorder is held up, more comes than two blocks have room for; then it is told to stop.
if why=$(box_skip); then echo "skipped: $why"; exit 0; fi
box_make many -p "$build/tests/many_threads" "$build/tests/many_threads" 22000
"$vigia" record "$dir/many.vgr" --container "$(box_name many)" --seconds 60 --json >"$dir/report" &
record=$!
for _ in $(seq 300); do [ -s "$dir/many.vgr" ] && break; sleep 0.1; done
kill -STOP $record
box_start many
for _ in $(seq 600); do
    runc state "$(box_name many)" | grep -q '"status": "stopped"' && break
    sleep 0.1
done
kill -INT $record
kill -CONT $record
wait $record || fail "record: status $?"
box_stop many
"$vigia" replay "$dir/many.vgr" --dump >"$dir/dump"
python3 - "$dir/dump" "$dir/report" <<'PY' || fail "what was left at the end: $(cat "$dir/report")"
import json, os, sys
exits = sum(call["name"] == "exit" for line in open(sys.argv[1]) if '"window"' in line
            for call in json.loads(line)["window"]["calls"])
report = json.load(open(sys.argv[2]))
assert report["balanced"] and report["dropped"] == 0, report
assert exits == 22000 * min(os.cpu_count(), 2), exits
PY
echo "many threads: $(cat "$dir/report")"

# Two containers before the recording and two during it, of which one each is chosen, and one that
# lives for a moment: by --container, and by the configuration's exclude.
for name in chosen-old chosen-new other-old other-new; do
    box_make $name -p /bin/dash -p /bin/cat -p /bin/sleep \
        /bin/dash -c "while :; do cat /marker-$name; sleep 0.1; done 2>/dev/null"
done
box_make other-brief -p /bin/cat /bin/cat /marker-other-brief
wait_for_blocks() { for _ in $(seq 300); do [ -s "$1" ] && return; sleep 0.1; done; fail "nothing in $1"; }

record_two() { # FILE OPTION...
    local file=$1 record
    shift
    box_start chosen-old
    box_start other-old
    "$vigia" record "$file" --seconds 60 --json "$@" >"$dir/report" &
    record=$!
    wait_for_blocks "$file"
    box_start other-brief
    box_start chosen-new
    box_start other-new
    sleep 4 # the runtime's state is looked for again and again, less and less often
    kill -INT $record
    wait $record || fail "record: status $?"
    for name in chosen-old chosen-new other-old other-new other-brief; do box_stop $name; done
    "$vigia" replay "$file" --dump >"$dir/dump"
    ! "$build/tests/dump_vgr" "$file" | grep -a other || fail "metadata of a container not chosen"
    python3 - "$dir/dump" "$dir/report" <<'PY' || fail "recording of chosen containers"
import json, sys
text = open(sys.argv[1]).read()
report = json.load(open(sys.argv[2]))
assert report["balanced"] and report["calls"] > 0, report
assert "other" not in text, [line[:300] for line in text.splitlines() if "other" in line][:3]
lines = [json.loads(line) for line in text.splitlines()]
numbers = {c["number"]: c["name"] for c in (line["container"] for line in lines if "container" in line)}
print("recorded:", numbers)
assert sorted(name.rsplit("-", 1)[0] for name in numbers.values()) == \
    ["vigia-test-chosen-new", "vigia-test-chosen-old"], numbers
for kind in ("window", "bin", "process", "ledger"):
    found = {line[kind]["container"] for line in lines if kind in line} - {4294967295}
    assert found == set(numbers), (kind, found)
for name in ("chosen-old", "chosen-new"):
    assert f"/marker-{name}" in text, name
PY
}
record_two "$dir/named.vgr" --container "$(box_name 'chosen-*')"
echo 'containers: {exclude: ["vigia-test-other-*"], names: ["'$(box_name '*')'"]}' >"$dir/vigia.yaml"
record_two "$dir/selected.vgr" --config "$dir/vigia.yaml"
