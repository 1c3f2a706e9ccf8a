#!/usr/bin/env bash
# A container on a real overlay mount: programs that were dropped or changed in it are marked as not
# from the image, the image's own are not; without an overlay nothing is.
# usage: test_overlay.sh BUILD SOURCE
set -euo pipefail
build=$1 vigia=$1/vigia
BUILD=$1
source "$2/tests/e2e/containers.sh"
dir=$(mktemp -d)
layers=
trap '[ -z "$layers" ] || umount "$layers"; rm -rf "$dir"; box_cleanup' EXIT
fail() { echo "FAILED: $*"; exit 1; }
if why=$(box_skip); then echo "SKIP: $why"; exit 77; fi

for name in overlay plain; do
    box_make $name -p /bin/dash -p /bin/cp -p /bin/cat -p /bin/ls -p /bin/ln -p /bin/true -p /bin/sleep \
        /bin/sleep 100
    cp "$BOX_ROOT/bin/true" "$BOX_ROOT/bin/changed"
    [ $name = overlay ] || continue
    # What was made is the image; the container gets a mount of it with a layer of its own.
    base=$(dirname "$BOX_ROOT")
    mv "$BOX_ROOT" "$base/image"
    mkdir "$BOX_ROOT" "$base/upper" "$base/work"
    mount -t overlay overlay -o "lowerdir=$base/image,upperdir=$base/upper,workdir=$base/work" "$BOX_ROOT" ||
        { echo "SKIP: no overlay mount here"; exit 77; }
    layers=$BOX_ROOT
done

"$vigia" record "$dir/r.vgr" --container "vigia-test-*-$BOX_SUFFIX" --seconds 100 >"$dir/report" &
record=$!
for _ in $(seq 300); do [ -s "$dir/r.vgr" ] && break; sleep 0.1; done
[ -s "$dir/r.vgr" ] || fail 'nothing is recorded'
for name in overlay plain; do
    box_start $name
    box_exec $name /bin/dash -c '
        cp /bin/true /tmp/dropped; /tmp/dropped
        cat /bin/true >>/bin/changed; /bin/changed
        ln -s /bin/true /tmp/link; /tmp/link
        /bin/true; ls / >/dev/null'
done
sleep 4
kill -INT $record
wait $record || fail "record: status $?"
for name in overlay plain; do box_stop $name; done
"$vigia" replay "$dir/r.vgr" --dump | python3 -c '
import json, sys
names, marked = {}, {}
for line in map(json.loads, sys.stdin):
    if "container" in line and line["container"]["name"]:  # without one: as it was first seen
        names[line["container"]["number"]] = line["container"]["name"].split("-")[2]
    if "process" in line and line["process"]["event"] in ("exec", "found"):
        p = line["process"]
        marked.setdefault(p["container"], {})[p["path"]] = bool(p["flags"] & 4)
got = {names[number]: found for number, found in marked.items()}
print(got)
assert set(got) == {"overlay", "plain"}, got
for name, found in got.items():
    paths = {path for path in found if path.endswith(("/dropped", "/changed", "/true", "/ls", "/dash", "/sleep"))}
    assert len(paths) == 6, (name, found)
    changed = {path for path in paths if found[path]}
    want = {"/tmp/dropped"} | {path for path in paths if path.endswith("/changed")}
    assert changed == (want if name == "overlay" else set()), (name, found)
' || fail "what is marked"
