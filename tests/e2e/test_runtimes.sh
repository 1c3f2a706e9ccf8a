#!/usr/bin/env bash
# Containers of a real Docker, containerd and podman: found when capture starts and as they come, from
# their first call, with name, image and workload; a session from outside is told from what the
# container does itself. The daemons are this test's own, in mount and network namespaces with empty
# directories where they keep their state, so that those of the machine are not touched.
# usage: test_runtimes.sh BUILD SOURCE
set -euo pipefail
build=$1 vigia=$1/vigia
BUILD=$1
source "$2/tests/e2e/containers.sh"
if why=$(box_skip); then echo "SKIP: $why"; exit 77; fi
for program in dockerd docker containerd ctr podman; do
    command -v $program >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }
done
if [ -z "${RUNTIMES_INSIDE:-}" ]; then
    rm -rf "$BOX_DIR"
    exec env RUNTIMES_INSIDE=1 unshare --mount --net --propagation private "$0" "$@"
fi
fail() { echo "FAILED: $*"; exit 1; }
daemons=()
cleanup() {
    local pid
    docker ps -aq | xargs -r docker rm -f >/dev/null 2>&1 || :
    podman rm -af -t 0 >/dev/null 2>&1 || :
    ctr task ls -q | xargs -r -n1 ctr task rm -f >/dev/null 2>&1 || :
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || :; done
    umount --lazy "${places[@]}"
    # What the daemons leave for good: the folders that their containers' cgroups stood in.
    rmdir /sys/fs/cgroup/{,*/}{docker,default,libpod_parent{/*,}} 2>/dev/null || :
    box_cleanup
}
places=(/var/lib/{docker,containerd,containers} /run/{docker,containerd,containers,libpod})
for place in "${places[@]}"; do
    mkdir -p "$place" "$BOX_DIR/state$place"
    mount --bind "$BOX_DIR/state$place" "$place"
done
trap cleanup EXIT
export DOCKER_HOST=unix:///run/docker/test.sock
# The limits that podman would raise need CAP_SYS_RESOURCE, which tests may be without.
export CONTAINERS_CONF=$BOX_DIR/containers.conf
cat >"$CONTAINERS_CONF" <<END
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
END

wait_for() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; cat "$BOX_DIR"/*.log; fail "it does not work: $*"; }
printf 'version = 2\noom_score = 0\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' >"$BOX_DIR/containerd.toml"
containerd -c "$BOX_DIR/containerd.toml" >"$BOX_DIR/containerd.log" 2>&1 &
daemons=($!)
wait_for ctr version
echo '{}' >"$BOX_DIR/docker.json"
dockerd --containerd /run/containerd/containerd.sock --host $DOCKER_HOST --pidfile /run/docker/test.pid \
    --iptables=false --bridge=none --oom-score-adjust 0 --exec-opt native.cgroupdriver=cgroupfs \
    --config-file "$BOX_DIR/docker.json" >"$BOX_DIR/dockerd.log" 2>&1 &
daemons=($! "${daemons[@]}")
wait_for docker version

box_make image -p dash -p sleep -p cat -p mkdir /bin/true
image=localhost/vigia-test:$BOX_SUFFIX
touch "$BOX_ROOT/first-call"
tar -C "$BOX_ROOT" -c . | docker import - "$image" >/dev/null
docker save "$image" -o "$BOX_DIR/image.tar"
ctr image import "$BOX_DIR/image.tar" >/dev/null
podman load -q -i "$BOX_DIR/image.tar" >/dev/null

program='cat /first-call; while :; do sleep 0.1; done'
in_docker() { # in_docker NAME [OPTION...]
    docker run --detach --network none --name "$1-$BOX_SUFFIX" "${@:2}" "$image" /bin/dash -c "$program" >/dev/null
}
in_containerd() {
    ctr run --detach --snapshotter native "$image" "$1-$BOX_SUFFIX" /bin/dash -c "$program"
}
in_podman() {
    podman run --detach --network none --log-driver none --name "$1-$BOX_SUFFIX" "$image" /bin/dash -c "$program" >/dev/null
}
in_docker early-docker --label com.docker.compose.project=shop --label com.docker.compose.service=web
in_containerd early-containerd
in_podman early-podman

"$vigia" record "$BOX_DIR/r.vgr" --container "*-$BOX_SUFFIX" --seconds 100 >"$BOX_DIR/report" &
record=$!
wait_for test -s "$BOX_DIR/r.vgr"
in_docker late-docker
in_containerd late-containerd
in_podman late-podman
docker exec "early-docker-$BOX_SUFFIX" /bin/mkdir /tmp/made
ctr task exec --exec-id one "early-containerd-$BOX_SUFFIX" /bin/mkdir /tmp/made
podman exec "early-podman-$BOX_SUFFIX" /bin/mkdir /tmp/made
sleep 4
kill -INT $record
wait $record || fail "record: status $?"

"$vigia" replay "$BOX_DIR/r.vgr" --dump >"$BOX_DIR/dump"
python3 - "$BOX_DIR/dump" "$BOX_SUFFIX" <<'END' || fail 'see above'
import json, sys
path, suffix = sys.argv[1:]
containers, processes, windows = {}, {}, {}
for line in map(json.loads, open(path)):
    for kind, body in line.items():
        if kind == "container":
            containers[body["number"]] = body  # the last one has all that became known
        elif kind == "process":
            processes.setdefault(body["container"], []).append(body)
        elif kind == "window":
            windows.setdefault(body["container"], []).append(body)
by_name = {(c["name"] or c["id"]).removesuffix("-" + suffix): c for c in containers.values()}
runtimes = ["containerd", "docker", "podman"]
assert sorted(by_name) == sorted(f"{when}-{runtime}" for when in ("early", "late") for runtime in runtimes), by_name.keys()
image = "localhost/vigia-test:" + suffix
for name, c in by_name.items():
    when, runtime = name.split("-")
    assert c["runtime"] == runtime, c
    assert c["image"] == (image if runtime != "containerd" else ""), c  # its own is not in files
    assert c["wanted"] and c["workload"], c
    seen = [(p["event"], p["path"]) for p in processes[c["number"]]]
    programs = {p["path"]: p for p in processes[c["number"]] if p["event"] == "exec"}
    if when == "late":
        # From the first call: the exec of its first program, whose call is the window's first.
        first = programs["/usr/bin/dash"]
        window = min((w for w in windows[c["number"]] if w["tgid"] == first["tgid"]
                      and w["program"] == "/usr/bin/dash -c"), key=lambda w: w["first"])
        assert window["calls"][0]["name"] == "execve", window["calls"][0]
        assert any(call.get("argument") == "read /first-call" for w in windows[c["number"]] for call in w["calls"])
    else:
        assert ("found", "/usr/bin/dash") in seen, seen
        session = programs["/usr/bin/mkdir"]
        assert session["parent_program"] == "container-runtime" and session["flags"] & 16, session
        assert not programs["/usr/bin/sleep"]["flags"] & 16, programs
assert by_name["early-docker"]["workload"] == "shop/web", by_name["early-docker"]
assert by_name["early-podman"]["workload"] == by_name["late-podman"]["workload"], by_name
print({name: c["workload"] for name, c in by_name.items()})
END
