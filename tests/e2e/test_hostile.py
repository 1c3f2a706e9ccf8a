#!/usr/bin/env python3
"""Bad input, end to end: what people, containers, clocks and a second Vigia may do to a running one. It may
refuse, count and say so; it may not crash, lose its balance, or hand hostile bytes on to a terminal."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import vigia

BUILD = pathlib.Path(vigia.BINARY).parent
RECORDING = str(vigia.ROOT / "deploy" / "recording.vgr")
INSTRUMENTED = b"__asan_init" in pathlib.Path(vigia.BINARY).read_bytes() or \
    b"__tsan_init" in pathlib.Path(vigia.BINARY).read_bytes()
LACKING = "-bpf,-perfmon,-sys_admin"
WORK = "while :; do ls / >/dev/null; sleep 0.05; done"
SHELL = ["/bin/dash", "/bin/ls", "/bin/sleep", "/bin/cp", "/bin/true", "/bin/rm"]
EVIL = "<script>alert(1)</script>\x1b[31m\x07\r\n\x7f\u202e../../etc/passwd"


def run(*arguments):
    """Another command as people call it: bytes, since hostile ones are what this is about."""
    return subprocess.run([vigia.BINARY, *arguments], capture_output=True, timeout=60)


def documents(data):
    """JSON lines or one value; fails when it is neither, or no UTF-8."""
    text = data.decode("utf-8")
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line]


def containers(v, *options):
    out = run("containers", "--data", v.data, "--json", *options)
    assert out.returncode == 0, out.stderr
    return documents(out.stdout) if out.stdout.strip() else []


def named(v, name):
    return next(({"calls": 0, **c} for c in containers(v) if name in c["name"]), None)


def check_ledger(v):
    ledger = v.run("ledger")
    assert ledger["balanced"], ledger
    return ledger


def privileges():
    """eBPF refused: what is missing is said, and the recording is shown where that is wanted."""
    lacking = ["setpriv", "--bounding-set", LACKING, "--inh-caps", LACKING]
    with vigia.Vigia() as v:
        out = subprocess.run([*lacking, vigia.BINARY, "up", "--config", v.config], capture_output=True,
                             text=True, timeout=60)
        assert out.returncode == 2, out
        assert "CAP_BPF and CAP_PERFMON" in out.stderr, out.stderr
        v.start("--or-replay", RECORDING, prefix=lacking)
        assert "CAP_BPF and CAP_PERFMON" in v.log(), v.log()
        vigia.wait_for("calls of the recording", lambda: v.live()["engine"]["calls"] > 1000)
        assert v.live()["mode"] == "replay"
        v.login()
        status, answer = v.request("GET", "/api/v1/containers")
        assert status == 200 and "vigia-demo-web" in json.dumps(answer), answer
        assert v.stop() == 0
        check_ledger(v)


def count_at_rest(v, name):
    """The calls of a container, if they stay the same for five seconds, in each of which all counts are
    written again; else None."""
    before = named(v, name)["calls"]
    time.sleep(5)
    return before if named(v, name)["calls"] == before else None


def configuration():
    """Edited while it runs: taken over; what is wrong changes nothing, and is said."""
    with vigia.Vigia() as v, vigia.Box("excl", SHELL, ["/bin/dash", "-c", WORK]):
        path = pathlib.Path(v.config)
        before = path.read_text()
        v.start()
        vigia.wait_for("watched", lambda: (named(v, "test-excl") or {}).get("wanted"))
        path.write_text(before + 'containers: {exclude: ["vigia-test-excl*"]}\n')
        vigia.wait_for("excluded", lambda: named(v, "test-excl")["wanted"] is False, 10)
        assert "vigia-test-excl*" in named(v, "test-excl")["reason"]
        calls = vigia.wait_for("no more calls of it", lambda: count_at_rest(v, "test-excl"))
        lines = len(path.read_text().splitlines()) + 1
        path.write_text(path.read_text() + "detection: {alerts_a_day: 1}\n")
        vigia.wait_for("the complaint", lambda: "stays as it was" in v.log(), 10)
        complaint = next(line for line in v.log().splitlines() if str(path) in line and "error" in line)
        for part in (f"{path}:{lines}", "allowed"):
            assert part in complaint, (part, complaint)
        time.sleep(1.5)
        assert named(v, "test-excl")["wanted"] is False
        assert named(v, "test-excl")["calls"] == calls, "an excluded container's calls are counted"
        # As editors do it: another file under the same name.
        fresh = path.with_suffix(".new")
        fresh.write_text(before)
        fresh.rename(path)
        vigia.wait_for("watched again", lambda: named(v, "test-excl")["wanted"], 10)
        assert v.stop() == 0
        check_ledger(v)


class Hostile:
    """runc containers and cgroups with names that nobody sane gives."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="vigia-test-", dir="/var/tmp")
        self.made, self.processes, self.cgroups = [], [], []

    def __enter__(self):
        return self

    def box(self, name, change, raw=lambda text: text):
        name = f"vigia-test-{name}-{os.getpid()}"
        subprocess.run([BUILD / "tests" / "make_box", self.directory, name,
                        *(x for p in SHELL for x in ("-p", p)), "/bin/dash", "-c", WORK], check=True,
                       stdout=subprocess.DEVNULL)
        path = pathlib.Path(self.directory, name, "config.json")
        config = json.loads(path.read_text())
        change(config)
        path.write_bytes(raw(json.dumps(config).encode()))
        self.made.append(name)
        with open(path.with_name("log"), "wb") as log: # a pipe would stay open as long as the container
            subprocess.run(["runc", "run", "--detach", "--bundle", path.parent, name], check=True,
                           stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=30)

    def cgroup(self, name):
        """A cgroup of that name (bytes) with a living process, beside those of real runtimes."""
        path = b"/sys/fs/cgroup/pids/" + name
        if not os.path.isdir("/sys/fs/cgroup/pids"):
            path = b"/sys/fs/cgroup/" + name
        os.mkdir(path)
        self.cgroups.append(path)
        process = subprocess.Popen(["sh", "-c", "read x; while sleep 0.1 && kill -0 $PPID; do ls / >/dev/null; done"],
                                   stdin=subprocess.PIPE)
        self.processes.append(process)
        pathlib.Path(os.fsdecode(path), "cgroup.procs").write_text(str(process.pid))
        process.stdin.write(b"\n")
        process.stdin.close()

    def __exit__(self, *_):
        for name in self.made:
            subprocess.run(["runc", "delete", "--force", name], check=False, stderr=subprocess.DEVNULL)
        for process in self.processes:
            process.kill()
            process.wait()
        for path in self.cgroups:
            vigia.wait_for("the cgroup to be empty", lambda p=path: removed(p))
        shutil.rmtree(self.directory, ignore_errors=True)


def removed(path):
    # A child of the killed shell may live a moment longer.
    try:
        os.rmdir(path)
        return True
    except OSError:
        return False


def strange(config):
    config["hostname"] = "<script>\x1b[31m"
    config["process"]["args"] += [EVIL, "\x00".replace("\x00", "\u0001") * 20, "x" * 10240]
    config["annotations"] = {EVIL: EVIL, "io.kubernetes.cri.image-name": EVIL, "big": "y" * 10240,
                             "io.kubernetes.cri.sandbox-name": "../../" + EVIL}


def long_names(config):
    config["hostname"] = "h" * 60
    config["annotations"] = {"io.kubernetes.cri.container-name": "\u202e" + "n" * 10240, "k" * 10240: "v"}
    config["linux"]["cgroupsPath"] = f"/vigia-test-<script>\x1b[31m-{os.getpid()}"


def metadata():
    """Hostile names: nothing of them reaches a terminal raw, and JSON stays JSON."""
    def not_utf8(text):
        return text.replace(b'"hostname": "bad"', b'"hostname": "bad\xff\xfe"')

    with vigia.Vigia() as v, Hostile() as h:
        v.start()
        h.box("strange", strange)
        h.box("long", long_names)
        h.box("utf8", lambda c: c.update(hostname="bad"), not_utf8)
        h.cgroup(b"runc-vt%d\x1b[31m<script>\xff\xfe\x07.scope" % os.getpid())
        h.cgroup(b"docker-\x1b[2J\xff" + b"-%064x" % os.getpid())
        h.cgroup(b"vigia-test-%d" % os.getpid() + b"q" * 220)
        marks = ("strange-%d", "test-long-%d", "utf8-%d", "vt%d", "%064x")

        def watched(mark):
            return any(c["wanted"] and c.get("calls", 0) > 0 and mark % os.getpid() in c["name"] + c["id"]
                       for c in containers(v))
        for mark in marks:
            vigia.wait_for(f"the container {mark}", lambda m=mark: watched(m))
        time.sleep(2)
        v.login()
        for command in ("containers", "profiles", "ledger", "alerts"):
            for options in ((), ("--all",)) if command == "containers" else ((),):
                out = run(command, "--config", v.config, *options)
                assert out.returncode in (0, 1), out
                text = out.stdout.decode("utf-8") + out.stderr.decode("utf-8")
                bad = re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
                assert not bad, (command, bad, text)
                documents(run(command, "--config", v.config, "--json", *options).stdout)
        listed = json.dumps(containers(v))
        assert "<script>" in listed, listed
        for path in ("containers", "workloads", "overview", "alerts", "ledger"):
            status, answer = v.request("GET", "/api/v1/" + path)
            assert status == 200 and answer is not None, (path, status)
        log = v.log()
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", log), [x for x in log.splitlines() if "\x1b" in x]
        assert v.stop() == 0
        check_ledger(v)


def cgroups_mass(n):
    """Containers that are gone before anybody can look; every tenth had a process."""
    base = pathlib.Path("/sys/fs/cgroup/pids" if os.path.isdir("/sys/fs/cgroup/pids") else "/sys/fs/cgroup")
    for i in range(n):
        path = base / f"docker-{os.getpid():032x}{i:032x}.scope"
        path.mkdir()
        if i % 10 == 0:
            child = os.fork()
            if not child:
                try:
                    (path / "cgroup.procs").write_text(str(os.getpid()))
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        vigia.wait_for("rmdir", lambda: removed(path))


def masses():
    """Floods of containers, processes and programs: counted, not crashed."""
    letters = "a b c d e f g h i j k l m n o p q r s t u v w x y z"
    many = (f"i=0; while [ $i -lt 5000 ]; do ( : ); i=$((i+1)); done; "
            f"for a in {letters}; do for b in {' '.join(letters.split()[:20])}; do "
            f"cp /bin/true /tmp/x$a$b; /tmp/x$a$b; rm /tmp/x$a$b; done; done; exec sleep 1000")
    with vigia.Vigia() as v:
        v.start()
        with vigia.Box("mass", SHELL, ["/bin/dash", "-c", many]) as box:
            first = pathlib.Path("/proc", box.do("box_pid mass")[1].strip(), "comm")
            cgroups_mass(2000)
            vigia.wait_for("the flood", lambda: first.read_text().strip() == "sleep", 60)
        # 5,000 forks, and 520 times three programs
        vigia.wait_for("its calls", lambda: sum(c.get("calls", 0) for c in containers(v, "--all")
                                                if "test-mass" in c["name"]) > 40000, 60)
        time.sleep(1)
        assert v.process.poll() is None
        status = pathlib.Path(f"/proc/{v.process.pid}/status").read_text()
        rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) >> 10
        known = len(containers(v, "--all"))
        ledger = check_ledger(v)
        print(f"masses: {rss} MiB, {known} containers, seen {ledger['seen']}, dropped {ledger['dropped']}, "
              f"refused {v.live()['engine']['refused']}")
        assert not v.live()["engine"]["refused"]["profiles"], "containers without calls took the profiles"
        assert INSTRUMENTED or rss < 200, f"{rss} MiB"
        assert v.stop() == 0
        assert check_ledger(v)["in_flight"] == 0


def clock():
    """The wall clock of a recorded machine jumps by days: times look odd, sums do not."""
    with tempfile.TemporaryDirectory(prefix="vigia-e2e-") as d:
        subprocess.run([BUILD / "tests" / "jump_vgr", RECORDING, f"{d}/jump.vgr"], check=True)
        out = run("replay", f"{d}/jump.vgr", "--into", f"{d}/data")
        assert out.returncode == 0, out
        ledger = run("ledger", "--data", f"{d}/data", "--json")
        assert ledger.returncode == 0 and documents(ledger.stdout)[0]["balanced"], ledger
        straight = run("replay", RECORDING, "--json")
        calls = documents(straight.stdout)[0]["calls"]
        assert documents(ledger.stdout)[0]["stored"] == calls > 100000
        for command in ("alerts", "containers", "profiles"):
            out = run(command, "--data", f"{d}/data", "--json")
            assert out.returncode in (0, 1), out
            documents(out.stdout)


def two():
    """Two of them with the same directory of pins, as both have by default: each its own capture, also
    after both were killed and come back in the other order."""
    with vigia.Vigia() as a, vigia.Vigia() as b, vigia.Box("two", SHELL, ["/bin/dash", "-c", WORK]):
        path = pathlib.Path(b.config)
        path.write_text(path.read_text().replace(b.pins, a.pins))
        starts = [threading.Thread(target=v.start) for v in (a, b)]
        for t in starts:
            t.start()
        for t in starts:
            t.join()
        for v in (a, b):
            vigia.wait_for("calls", lambda v=v: (named(v, "test-two") or {"calls": 0})["calls"] > 300)
        for v in (a, b):
            v.kill()
        time.sleep(0.5)
        for v in (b, a):
            v.start()
        time.sleep(1.5)
        assert a.stop() == 0
        before = named(b, "test-two")["calls"]
        vigia.wait_for("the other goes on", lambda: named(b, "test-two")["calls"] > before + 100)
        assert b.stop() == 0
        for v in (a, b):
            assert "another capture" not in v.log() and "will be lost" not in v.log(), v.log()
            ledger = check_ledger(v)
            assert not ledger["blind"] and not ledger["dropped"] and ledger["in_flight"] == 0, ledger
        assert not os.path.exists(a.pins), os.listdir(a.pins)


def commands():
    """Each command teaches itself, and prints data as JSON where that is asked for."""
    names = re.findall(r"^  ([a-z]+) ", run("--help").stdout.decode(), re.M)
    assert len(names) > 10, names
    for name in names:
        out = run(name, "--help")
        assert out.returncode == 0 and b"Usage: vigia " + name.encode() in out.stdout, (name, out)
        assert run(name, "--no-such-option").returncode == 2, name
    with tempfile.TemporaryDirectory(prefix="vigia-e2e-") as d:
        pathlib.Path(d, "vigia.yaml").write_text(f"data: {d}/data\n")
        common = ("--config", f"{d}/vigia.yaml", "--json")
        assert run("replay", RECORDING, "--into", f"{d}/data", "--config", f"{d}/vigia.yaml").returncode == 0
        for arguments in (["alerts"], ["containers"], ["ledger"], ["profiles"], ["doctor"], ["config", "check"],
                          ["config", "show"], ["config", "schema"], ["user", "list"], ["replay", RECORDING],
                          ["record", f"{d}/r.vgr", "--seconds", "1"]):
            out = run(*arguments, *common)
            assert out.returncode in (0, 1), (arguments, out)
            documents(out.stdout)


def main():
    if os.geteuid() != 0 or not shutil.which("runc") or not shutil.which("setpriv"):
        vigia.skip("needs root, runc and setpriv")
    cases = (privileges, configuration, metadata, masses, clock, two, commands)
    failed = []
    for case in cases:
        if sys.argv[1:] and case.__name__ not in sys.argv[1:]:
            continue
        began = time.monotonic()
        try:
            case()
            result = "ok"
        except Exception as error:
            failed.append(case.__name__)
            result = f"FAILED: {error!r}"[:4000]
        print(f"{case.__name__}: {time.monotonic() - began:.1f} s, {result}", flush=True)
    sys.exit(bool(failed))


main()
