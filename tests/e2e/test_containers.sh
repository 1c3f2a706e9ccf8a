#!/bin/bash
# Real runc containers are found with their name, command, workload and kernel id, and not after they
# have gone. Exit 77: skipped.
set -u
cd "$(dirname "$0")/../.." || exit 2
BUILD=${1:-build}
. tests/e2e/containers.sh
why=$(box_skip) && { echo "SKIP: $why"; exit 77; }
failed=0
check() { # check WORDS COMMAND...: the command succeeds
    local what=$1
    shift
    if "$@"; then echo "ok: $what"; else echo "FAILED: $what"; failed=1; fi
}
field() { # field NAME FIELD
    "$BUILD/tests/list_containers" | python3 -c '
import json, sys
for line in sys.stdin:
    c = json.loads(line)
    if c["name"] == sys.argv[1]:
        print(c[sys.argv[2]])' "$(box_name "$1")" "$2"
}

box_make one -p dash -p sleep /bin/sh -c 'while :; do sleep 1; done' || exit 2
box_make two -p dash -p sleep /bin/sh -c 'while :; do sleep 1; done' || exit 2
box_start one && box_start two || exit 2
check 'its runtime' test "$(field one runtime)" = runc
check 'its command' test "$(field one command)" = '/bin/sh -c while :; do sleep 1; done'
check 'two of one command are one workload' test "$(field one workload)" = "$(field two workload)"
check 'the workload has a name' test -n "$(field one workload)"
pid=$(box_pid one)
path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
for root in /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -d "$root$path" ] && [ "$path" != / ] && break
done
check 'the kernel id is its v2 cgroup' test "$(field one cgroup_id)" = "$(stat -c %i "$root$path")"
check 'a command inside runs' test "$(box_exec one /bin/sh -c 'echo $((6 * 7))')" = 42
box_stop two
check 'a stopped one is not found' test -z "$(field two id)"
exit $failed
