#!/usr/bin/env bash
# vigia record on the real kernel: calls made here are in the recording, it replays byte for byte,
# the second reader agrees, and a replay into a data directory leaves the ledger balanced.
# usage: test_record.sh BUILD SOURCE
set -euo pipefail
build=$1 source=$2 vigia=$1/vigia
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
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
echo "record: $(cat "$dir/report")"
