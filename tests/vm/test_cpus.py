#!/usr/bin/env python3
"""The whole of `vigia up` on a kernel with pure cgroup v2, with a real container that works while
CPUs go and come back. For the emulated machine of tests/vm alone."""
import pathlib
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import vigia

# Two calls a round, kill and stat, without a process: exactly so many are to be found.
WORKER = ("work() { i=0; while [ ! -e /tmp/stop ]; do kill -0 $$; i=$((i+1)); done; echo $i >/tmp/done.$1; }; "
          "work 1 & work 2 & wait; echo >/tmp/ended; while :; do sleep 1; done")
FEW = 20000  # calls of the start and the end


def cpu(on):
    pathlib.Path("/sys/devices/system/cpu/cpu1/online").write_text("1" if on else "0")


def query(v, sql):
    with sqlite3.connect(f"file:{v.data}/vigia.db?mode=ro", uri=True) as database:
        return database.execute(sql).fetchall()


def ring_of_cpu1(v):
    """How far the windows kept of CPU 1 go: a window's position has its CPU in the upper 16 bits."""
    return query(v, f"SELECT coalesce(max(position), 0) FROM kept_ids WHERE position >> 48 = 1")[0][0]


def main():
    if "vigia.emulated" not in pathlib.Path("/proc/cmdline").read_text():
        vigia.skip("it switches CPUs off, which only the machine of tests/vm is for")
    with vigia.Vigia() as v:
        v.start()
        with vigia.Box("cpus", ["/bin/dash", "/bin/sleep"], ["/bin/sh", "-c", WORKER]) as box:
            root = pathlib.Path(box.do("echo $BOX_ROOT")[1].strip())
            name = box.do("box_name cpus")[1].strip()
            time.sleep(2)
            for _ in range(3):
                cpu(False)
                time.sleep(1.5)
                before = ring_of_cpu1(v)
                cpu(True)
                time.sleep(1.5)
            vigia.wait_for("windows of the CPU that came back", lambda: ring_of_cpu1(v) > before, 60)
            (root / "tmp/stop").touch()
            vigia.wait_for("the container's end", (root / "tmp/ended").exists, 60)
            rounds = sum(int(path.read_text()) for path in (root / "tmp").glob("done.*"))
            time.sleep(2)
            found = [row[0] for row in query(v, "SELECT body FROM documents") if name in (row[0] or "")]
            assert found, f"no container {name}"
        assert v.stop() == 0
        ledger = v.run("ledger")
        print(rounds, "rounds,", {k: ledger[k] for k in ("seen", "stored", "in_flight", "dropped", "balanced")})
        assert ledger["balanced"] and not ledger["dropped"] and ledger["in_flight"] == 0, ledger
        assert rounds > 1000 and 2 * rounds < ledger["stored"] < 2 * rounds + FEW, (rounds, ledger)
        assert query(v, "SELECT sum(calls) FROM bins")[0][0] == ledger["stored"]
        assert "more than came out of its ring" not in v.log(), v.log()


main()
