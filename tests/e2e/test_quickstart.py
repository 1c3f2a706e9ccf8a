#!/usr/bin/env python3
"""scripts/quickstart with a `vigia` that only says what the real one says: who can read what it
writes, what runs after a demo that was cut off, and that nothing is left of a start that failed.

test_quickstart.py SOURCE"""
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(sys.argv[1])
PROGRAM = """#!/usr/bin/python3
import json, os, pathlib, signal, sys, time
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: os._exit(2))
command, arguments = sys.argv[1], sys.argv[2:]
data = lambda option: pathlib.Path(arguments[arguments.index(option) + 1])
if command == "up":
    with open(data("--data") / "started", "a") as f:
        f.write(json.dumps({"pid": os.getpid(), "arguments": arguments}) + "\\n")
    time.sleep(float(os.environ.get("START_S", "0")))
    print("First login: admin, password abcd-efgh")
    print("Vigia watches. Web page: http://127.0.0.1:1/", flush=True)
    time.sleep(300)
elif command == "demo" and "--attach" in arguments:
    (data("--attach") / "demo").write_text(str(os.getpid()))
    time.sleep(float(os.environ["DEMO_S"]))
elif command == "demo":
    print("learning: {ready_active_s: 1}")
"""


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def runs(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Place:
    """A source tree with nothing to build, and a data directory that others may read."""

    def __enter__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="vigia-quickstart-"))
        for name, text in {"scripts/install": "#!/bin/sh\n", "scripts/build": "#!/bin/sh\n",
                           "build/vigia": PROGRAM}.items():
            path = self.root / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        shutil.copy(SOURCE / "scripts/quickstart", self.root / "scripts")
        self.data = self.root / "the data"
        self.data.mkdir()
        return self

    def __exit__(self, *_):
        for pid in {s["pid"] for s in self.started() if runs(s["pid"])}:
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.root)

    def started(self):
        path = self.data / "started"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def begin(self, *options, **environment):
        def prepare():
            os.umask(0o022)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen([self.root / "scripts/quickstart", "--data", self.data, *options],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                start_new_session=True, preexec_fn=prepare,
                                env=dict(os.environ, **environment))

    def normal(self):
        """What runs, and nothing else, has no configuration of the demo's."""
        alive = [s for s in self.started() if runs(s["pid"])]
        assert alive == self.started()[-1:], self.started()
        assert "--config" not in alive[0]["arguments"], alive
        assert (self.data / "vigia.pid").read_text().strip() == str(alive[0]["pid"])


def test_others_read_no_password():
    with Place() as p:
        shown, _ = p.begin("--no-demo").communicate(timeout=120)
        log = p.data / "vigia.log"
        assert "abcd-efgh" in log.read_text()
        assert log.stat().st_mode & 0o077 == 0, oct(log.stat().st_mode)
        look = next(line for line in shown.splitlines() if line.startswith("  Look"))
        assert str(p.data) in shlex.split(look.split("   (")[0]), look
        p.normal()


def test_demo_ends():
    with Place() as p:
        quickstart = p.begin(DEMO_S="0.5")
        shown, _ = quickstart.communicate(timeout=120)
        assert quickstart.returncode == 0, shown
        assert len(p.started()) == 3 and "--config" in p.started()[1]["arguments"]
        assert (p.data / "demo-shown").exists()
        p.normal()


def test_demo_is_cut_off():
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        for whom in (os.kill, os.killpg):
            with Place() as p:
                quickstart = p.begin(DEMO_S="300")
                demo = p.data / "demo"
                until(lambda: demo.exists() and demo.read_text())
                whom(quickstart.pid, number)
                shown, _ = quickstart.communicate(timeout=120)
                assert quickstart.returncode == 128 + number, (quickstart.returncode, shown)
                assert not runs(int(demo.read_text()))
                assert not (p.data / "demo-shown").exists()
                p.normal()


def test_demo_ends_before_quickstart_runs():
    """The signal meets a quickstart that has the demo's end to hear of, too: both come while this,
    with priority, has its CPU."""
    here, *there = os.sched_getaffinity(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError:
        there = []
    if not there:
        print("   not tested: needs two CPUs and CAP_SYS_NICE")
        return
    with Place() as p:
        quickstart = p.begin(DEMO_S="300")
        demo = p.data / "demo"
        until(lambda: demo.exists() and demo.read_text())
        pid = int(demo.read_text())
        os.sched_setaffinity(quickstart.pid, {here})
        os.sched_setaffinity(pid, there)
        os.sched_setaffinity(0, {here})
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 0.5  # longer the kernel may not let it run
        while runs(pid) and time.monotonic() < end:
            pass
        os.kill(quickstart.pid, signal.SIGTERM)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, {here, *there})
        shown, _ = quickstart.communicate(timeout=120)
        assert quickstart.returncode == 128 + signal.SIGTERM, (quickstart.returncode, shown)
        p.normal()


def test_start_that_fails():
    with Place() as p:
        quickstart = p.begin("--no-demo", START_S="1000")
        shown, _ = quickstart.communicate(timeout=300)
        assert quickstart.returncode == 1 and "vigia did not start" in shown, shown
        assert not runs(p.started()[0]["pid"]), "what did not start in time runs on"


def main():
    if os.geteuid() != 0:
        print("SKIP needs root")
        sys.exit(77)
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            begin = time.monotonic()
            test()
            print(f"ok {name} {time.monotonic() - begin:.1f} s", flush=True)


main()
