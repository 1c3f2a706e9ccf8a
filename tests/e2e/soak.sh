#!/usr/bin/env bash
# A soak: real redis, nginx and MariaDB in runc containers under their own benchmarks, watched by
# `vigia up` with its default configuration, learnt, left alone, then attacked. Not part of the test
# run: it takes 35 minutes. What is learnt is also restarted, saved, flushed and reloaded, since that
# is what real servers do; each attack meets a replica of its own, so that its alert is its own.
set -uo pipefail
cd "$(dirname "$0")/../.."

usage() {
    cat <<EOF
usage: tests/e2e/soak.sh [--learn MINUTES] [--quiet MINUTES] [--only KIND,...] [--out DIR] [--keep]
  --learn MINUTES  longest time to wait for every workload to be ready (default 24)
  --quiet MINUTES  benign load after that, with replicas and maintenance (default 10)
  --only KIND,...  of redis, nginx, mariadb, postgres, node, java (default the first three)
  --out DIR        keeps alerts, profiles, figures and Vigia's log there (default: a new one in /tmp)
  --keep           keeps the recording of all of it there too: soak.vgr, for vigia replay
Needs root, runc, scripts/build, bash, gcc and, for the kinds asked for, redis-server, nginx-light,
mariadb-server, postgresql, nodejs, a JDK, apache2-utils, curl. Prints a table of attacks, the false alerts and Vigia's own use; everything else is removed at
the end. Exit status 0 only if all became ready, nothing was sent before the attacks and the ledger
is balanced.
EOF
}

LEARN=24 QUIET=10 KINDS=redis,nginx,mariadb OUT= KEEP=
while [ $# -gt 0 ]; do
    case $1 in
    --keep) KEEP=1; shift; continue ;;
    --learn) LEARN=$2 ;;
    --quiet) QUIET=$2 ;;
    --only) KINDS=$2 ;;
    --out) OUT=$2 ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift 2
done
IFS=, read -ra KINDS <<<"$KINDS"

source tests/e2e/containers.sh
if why=$(box_skip); then echo "cannot run: $why" >&2; exit 2; fi
declare -A NEEDS=([redis]=redis-benchmark [nginx]='nginx ab' [mariadb]='mariadbd mariadb-slap'
    [postgres]='pg_dump setpriv' [node]='node ab curl' [java]='java javac jlink ab curl')
for kind in "${KINDS[@]}"; do
    for program in ${NEEDS[$kind]:-"(no such kind: $kind)"} gcc nsenter; do
        PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || { echo "not installed: $program" >&2; exit 2; }
    done
done
OUT=${OUT:-$(mktemp -d /tmp/vigia-soak-XXXXXX)}
mkdir -p "$OUT"
DATA=$BOX_DIR/data
PINS=/sys/fs/bpf/vigia-soak-$$
CONFIG=$BOX_DIR/vigia.yaml
TOOLS="-p bash -p dash -p id -p ls -p cat -p cp -p chmod -p mkdir -p uname -p env -p sha256sum -p sleep -p rm -p find"
declare -A LOADS=()
VIGIA_PID=

source tests/e2e/soak_servers.sh

now() { date +%s.%N; }
say() { echo "$(date -u +%T) $*" | tee -a "$OUT/log"; }

finish() {
    local pid
    for pid in "${LOADS[@]}"; do kill "$pid" 2>/dev/null; done
    wait "${LOADS[@]}" 2>/dev/null
    if [ -n "$VIGIA_PID" ]; then kill "$VIGIA_PID" 2>/dev/null; wait "$VIGIA_PID" 2>/dev/null; fi
    cp "$BOX_DIR/vigia.log" "$OUT/" 2>/dev/null
    [ -z "$KEEP" ] || cat "$DATA"/spool/*.vgr >"$OUT/soak.vgr"
    rm -rf "$PINS"
    box_cleanup 2>/dev/null
}
trap finish EXIT
trap 'exit 130' INT TERM

vigia() { "$BUILD/vigia" "$1" --config "$CONFIG" "${@:2}"; }

start_vigia() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    cat >"$CONFIG" <<EOF
data: $DATA
server: {port: $port}
capture: {pins: $PINS}
containers: {names: ["vigia-test-*-$$"]}
EOF
    "$BUILD/vigia" up --config "$CONFIG" >"$BOX_DIR/vigia.log" 2>&1 &
    VIGIA_PID=$!
    for _ in $(seq 100); do
        grep -q 'Vigia watches' "$BOX_DIR/vigia.log" && return
        sleep 0.2
    done
    cat "$BOX_DIR/vigia.log" >&2
    exit 2
}

# One line of what Vigia uses: time, resident MiB, CPU seconds.
sample_use() {
    awk -v t="$(date +%s)" -v hz="$(getconf CLK_TCK)" 'NR == FNR { cpu = ($14 + $15) / hz; next }
        /^VmRSS/ { rss = $2 / 1024 } END { printf "%d %.1f %.1f\n", t, rss, cpu }' \
        "/proc/$VIGIA_PID/stat" "/proc/$VIGIA_PID/status" >>"$OUT/use"
}

workloads() { for kind in "${KINDS[@]}"; do echo "${PROGRAM[$kind]}#"; done; }

# Profiles as text for people, as JSON for the report; 0 when all are ready in both phases.
sample_profiles() {
    vigia profiles --json >"$OUT/profiles.jsonl" 2>/dev/null
    { date -u +%T; vigia profiles; } >>"$OUT/profiles.txt" 2>&1
    python3 - "$OUT/profiles.jsonl" $(workloads) <<'EOF'
import json, sys
profiles = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
profiles = [p for p in profiles if p["workload"].startswith(tuple(sys.argv[2:]))]  # not other tests' containers
ready = [p for p in profiles if p["steady"]["state"] == "ready" and p["startup"]["state"] == "ready"]
print(" | ".join(f'{p["workload"][:24]}: {p["state"]}, steady {p["steady"]["state"]} {p["steady"]["progress"]:.0%},'
                 f' start-up {p["startup"]["state"]}' for p in profiles))
sys.exit(len(ready) < len(sys.argv) - 2)
EOF
}

maintain() { # every kind of server's own upkeep
    local kind
    for kind in "${KINDS[@]}"; do "${kind}_upkeep" "$kind-1"; done
}

restart() { # as `docker restart` does it
    say "restart of $1"
    server_stop "$1"
    server_start "$1"
}

learn() {
    local minute kind
    for minute in $(seq "$LEARN"); do
        sleep 30
        case $minute in
        1 | 2) for kind in "${KINDS[@]}"; do restart "$kind-1"; done ;;
        3 | 5 | 8) say upkeep; maintain ;;
        esac
        sleep 30
        sample_use
        say "minute $minute: $(sample_profiles)"
        if [ "$minute" -ge 14 ] && sample_profiles >/dev/null; then return 0; fi
    done
    return 1
}

be_quiet() {
    local minute kind i
    for minute in $(seq "$QUIET"); do
        case $minute in
        1) for i in 2 3 4 5; do for kind in "${KINDS[@]}"; do replica "$kind" "$i"; done; done ;;
        3 | 7) say upkeep; maintain ;;
        5) for kind in "${KINDS[@]}"; do restart "$kind-1"; done ;;
        esac
        sleep 60
        sample_use
        say "quiet minute $minute: $(vigia alerts --json | wc -l) alerts; $(sample_profiles)"
    done
}

say "results in $OUT"
start_vigia
say "vigia $VIGIA_PID"
for kind in "${KINDS[@]}"; do "${kind}_make" "$kind-1" && server_start "$kind-1" && server_load "$kind" 1; done
sample_use
learn && say 'all ready' || say 'NOT all ready'
vigia alerts --json >"$OUT/alerts-learning.jsonl"
QUIET_FROM=$(now)
be_quiet
ATTACK_FROM=$(now)
source tests/e2e/soak_attacks.sh
run_attacks
sleep 20
sample_use
vigia alerts --json >"$OUT/alerts.jsonl"
vigia alerts --held --json >"$OUT/alerts-held.jsonl"
vigia ledger >"$OUT/ledger.txt"; vigia ledger --json >"$OUT/ledger.json"
sample_profiles >/dev/null
python3 tests/e2e/soak_report.py "$OUT" "$QUIET_FROM" "$ATTACK_FROM" $(workloads) | tee "$OUT/report.txt"
exit "${PIPESTATUS[0]}"
