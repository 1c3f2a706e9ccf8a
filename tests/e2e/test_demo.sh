#!/bin/bash
# vigia demo, from nothing to the alert of a real attack; afterwards nothing of it is left. About two
# minutes. Exit 77: skipped.
# usage: tests/e2e/test_demo.sh [BUILD [SEED]]
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:-build} seed=${2:-1}
[ "$(id -u)" = 0 ] || { echo 'SKIP: not root'; exit 77; }
for program in runc busybox dash redis-server; do
    command -v $program >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }
done
before=$(ls -d /var/tmp/vigia-demo-* /sys/fs/bpf/vigia-demo-* 2>/dev/null)
start=$(date +%s)
result=$("$build/vigia" demo --json --seed "$seed")
status=$?
took=$(($(date +%s) - start))
echo "seed $seed, status $status, $took s"
printf '%s\n' "$result" | python3 -c '
import json, sys
r = json.load(sys.stdin)
print({k: v for k, v in r.items() if k != "alert"})
sys.exit(not (r["passed"] and r["learnt"] and r["alerts_before"] == 0 and r["delay_s"] < 30
              and r["marked_attack"] * 100 >= r["marked"] * 80))' || status=1
[ $took -lt 300 ] || { echo "FAILED: it took $took s"; status=1; }
after=$(ls -d /var/tmp/vigia-demo-* /sys/fs/bpf/vigia-demo-* 2>/dev/null)
left=$(comm -13 <(echo "$before") <(echo "$after"))
[ -z "$left" ] || { echo "FAILED: left behind: $left"; status=1; }
if runc list -q | grep -q '^vigia-demo-'; then
    echo 'FAILED: a container is left'
    status=1
fi
exit $status
