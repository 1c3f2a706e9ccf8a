#!/usr/bin/env bash
# vigia replay: the same bytes again, and nothing written over; JSON that parses; damage skipped and
# said; the whole of a recording in a data directory.
# usage: test_replay.sh VIGIA GOLDEN.vgr SHIPPED.vgr
set -euo pipefail
vigia=$1 golden=$2 shipped=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "FAILED: $*"; exit 1; }

"$vigia" replay "$golden" --copy "$dir/copy.vgr"
cmp "$golden" "$dir/copy.vgr" || fail "a copy has other bytes"
"$vigia" replay "$shipped" --copy "$dir/shipped.vgr"
cmp "$shipped" "$dir/shipped.vgr" || fail "$shipped is of an older format: replace it by its copy"

refused() { # WORDS ARGUMENT...: nothing is written, and it says why
    local words=$1 status=0
    shift
    "$vigia" replay "$@" 2>"$dir/log" || status=$?
    [ $status = 2 ] && grep -q "$words" "$dir/log" || fail "replay $*: status $status, $(cat "$dir/log")"
    cmp "$golden" "$dir/copy.vgr" || fail "replay $* wrote"
}
ln -s copy.vgr "$dir/link.vgr"
ln "$dir/copy.vgr" "$dir/same.vgr"
refused 'exists already; --force' "$shipped" --copy "$dir/copy.vgr"
for name in copy link same; do
    refused 'is the recording itself' "$dir/copy.vgr" --copy "$dir/$name.vgr"
    refused 'is the recording itself' "$dir/copy.vgr" --copy "$dir/$name.vgr" --force
done
"$vigia" replay "$golden" --copy "$dir/shipped.vgr" --force
cmp "$golden" "$dir/shipped.vgr" || fail "--force does not write over it"

"$vigia" replay "$golden" --dump >"$dir/dump"
"$vigia" replay "$golden" --json >"$dir/summary"
python3 - "$dir/dump" "$dir/summary" <<'PY' || fail "the dump does not agree with the summary"
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
summary = json.load(open(sys.argv[2], encoding="utf-8"))
count = lambda kind: sum(kind in line for line in lines)
calls = sum(len(line["window"]["calls"]) for line in lines if "window" in line)
assert count("block") == summary["blocks"] == 6
assert count("window") == summary["windows"]
assert calls == summary["calls"] == sum(c["calls"] for c in summary["containers"])
PY
"$vigia" replay "$golden" | grep -q "0 damaged parts" || fail "summary table"

# one bit in the middle: that block is left out, exit status 1
python3 - "$golden" "$dir/damaged.vgr" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 4
open(sys.argv[2], "wb").write(data)
PY
status=0
"$vigia" replay "$dir/damaged.vgr" --json >"$dir/summary" 2>"$dir/log" || status=$?
[ $status = 1 ] || fail "status $status for a damaged recording"
grep -q 'damaged .*: [0-9]* bytes at [0-9]* are skipped' "$dir/log" || fail "the place is not named: $(cat "$dir/log")"
grep -q '"blocks":5' "$dir/summary" && grep -q '"corrupt":1' "$dir/summary" || fail "$(cat "$dir/summary")"
status=0
"$vigia" replay "$dir/none.vgr" 2>/dev/null || status=$?
[ $status = 2 ] || fail "status $status for a missing recording"

"$vigia" replay "$shipped" --into "$dir/data" --config /dev/null >/dev/null
"$vigia" replay "$shipped" --json >"$dir/summary"
"$vigia" containers --all --data "$dir/data" --config /dev/null --json >"$dir/containers" 2>"$dir/log"
python3 - "$dir/containers" "$dir/summary" <<'PY' || fail "containers of a replay: $(cat "$dir/containers")"
import json, sys
calls = {c["name"]: c["calls"] for c in map(json.loads, open(sys.argv[1], encoding="utf-8"))}
summary = json.load(open(sys.argv[2], encoding="utf-8"))
assert calls == {c["name"]: c["calls"] for c in summary["containers"]}, calls
PY
echo "replay: copy, dump, summary, damage, data directory"
