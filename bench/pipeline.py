#!/usr/bin/env python3
"""What the agent alone costs, and how fast a recording goes through features, detectors and store: a real
container's calls are recorded, then replayed."""
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

sys.path[:0] = ["SOURCE/tests/e2e", "SOURCE/bench"]
import run
import vigia

WORK = "while :; do dd if=/dev/zero of=/dev/null bs=1 count=5000 2>/dev/null; ls / >/dev/null; sleep 0.1; done"
SECONDS = 12


def children_cpu_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measured(command):
    """CPU seconds, wall seconds and the highest resident size (MiB) of a command."""
    before, start = children_cpu_s(), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=120)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)}: {errors.decode()}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return children_cpu_s() - before, time.monotonic() - start, peak, output


def calls_in(recording):
    summary = subprocess.run([vigia.BINARY, "replay", recording, "--json"], capture_output=True, check=True)
    return run.find_number(summary.stdout, "calls")


def main():
    options = run.arguments(__doc__)
    rows = run.Rows(options.json)
    with tempfile.TemporaryDirectory(prefix="vigia-bench-") as directory:
        recording = os.path.join(directory, "bench.vgr")
        with vigia.Box("bench", ["/bin/dash", "/bin/dd", "/bin/sleep", "/bin/ls"], ["/bin/dash", "-c", WORK]):
            time.sleep(1)
            # Loading the programs costs what half a minute of work does: a short run takes it out.
            short = os.path.join(directory, "short.vgr")
            start_cpu, start_wall, _, _ = measured([vigia.BINARY, "record", short, "--seconds", "2"])
            cpu, wall, peak, _ = measured([vigia.BINARY, "record", recording, "--seconds", str(SECONDS)])
        calls = calls_in(recording)
        more = calls - calls_in(short)
        rows.add("agent alone: calls recorded", more / (wall - start_wall), "calls/s")
        rows.add("agent alone: CPU at 100 K calls/s", 100 * (cpu - start_cpu) / (more / 100000), "% of 1 CPU")
        rows.add("agent alone: memory", peak, "MiB", 50)
        rows.add("recording", pathlib.Path(recording).stat().st_size / calls, "bytes/call", 2)
        cpu, wall, _, _ = measured([vigia.BINARY, "replay", recording, "--into", os.path.join(directory, "data")])
        rows.add("replay into detection and store", calls / wall, "calls/s", 100000)
        rows.add("same, a CPU second", calls / cpu, "calls/CPU s")


main()
