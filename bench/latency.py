#!/usr/bin/env python3
"""Delay and cost of `vigia up` while a real container makes about 100,000 calls a second: from a call to
the commit of what it led to (alerts are part of that commit), CPU of each thread, memory."""
import pathlib
import sys
import time

sys.path[:0] = ["SOURCE/tests/e2e", "SOURCE/bench"]
import run
import vigia

WORK = "while :; do dd if=/dev/zero of=/dev/null bs=1 count=5000 2>/dev/null; sleep 0.1; done"
SECONDS = 15


def cpu_s(pid):
    """CPU seconds by thread name."""
    total = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            fields = (task / "stat").read_text().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        total[name] = total.get(name, 0) + (int(fields[11]) + int(fields[12])) / 100
    return total


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def main():
    options = run.arguments(__doc__)
    rows = run.Rows(options.json)
    with vigia.Vigia() as v, vigia.Box("bench", ["/bin/dash", "/bin/dd", "/bin/sleep"], ["/bin/dash", "-c", WORK]):
        v.start()
        pid = v.process.pid
        time.sleep(4)
        before, seen_before, start = cpu_s(pid), v.run("ledger")["stored"], time.monotonic()
        time.sleep(SECONDS)
        after, ledger = cpu_s(pid), v.run("ledger")
        took, calls = time.monotonic() - start, ledger["stored"] - seen_before
        live = v.live()
        rows.add("calls captured", calls / took, "calls/s")
        rows.add("calls dropped", sum(ledger["dropped"].values()), "calls")
        rows.add("first call of a block -> commit, p50", live["latency"]["p50_s"] * 1000, "ms")
        rows.add("first call of a block -> commit, p99", live["latency"]["p99_s"] * 1000, "ms", 1000)
        for thread in ("agent", "pipeline"):
            share = (after.get(thread, 0) - before.get(thread, 0)) / (calls / 100000)
            rows.add(f"CPU of the {thread} thread at 100 K calls/s", share * 100, "% of 1 CPU")
        rows.add("memory of vigia up", resident_mib(pid), "MiB", 50)
        rows.add("spool", live["spool"]["written_bytes"] / max(1, ledger["seen"]), "bytes/call", 2)


main()
