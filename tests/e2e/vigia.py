"""What the end-to-end tests share: a real `vigia up` with its own data directory, port and pins."""
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("VIGIA", str(ROOT / "build" / "vigia"))
SKIP = 77


def skip(reason):
    print("SKIP", reason)
    sys.exit(SKIP)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


class Vigia:
    """One data directory; start() and kill() as often as wanted."""

    def __init__(self, configuration="", parent=None):
        """parent: where the data directory is made; configuration and log stay outside of it."""
        self.own = tempfile.mkdtemp(prefix="vigia-e2e-")
        self.data = os.path.join(parent or self.own, "data")
        os.mkdir(self.data, 0o700)
        self.port = free_port()
        self.pins = f"/sys/fs/bpf/vigia-e2e-{os.getpid()}-{random.randrange(10 ** 6)}"
        self.config = os.path.join(self.own, "vigia.yaml")
        self.process = None
        self.cookie = self.csrf = None
        pathlib.Path(self.config).write_text(
            f"data: {self.data}\nserver: {{port: {self.port}}}\ncapture: {{pins: {self.pins}}}\n{configuration}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.own, ignore_errors=True)
        # Unlinking pins frees the kernel's maps and programs.
        shutil.rmtree(self.pins, ignore_errors=True)

    def start(self, *arguments, prefix=()):
        log = open(os.path.join(self.own, "log"), "ab")
        offset = log.tell()
        self.process = subprocess.Popen([*prefix, BINARY, "up", "--config", self.config, *arguments],
                                        stdout=log, stderr=subprocess.STDOUT)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"vigia up ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            return b"Vigia watches" in pathlib.Path(self.own, "log").read_bytes()[offset:]
        wait_for("vigia up", ready, int(os.environ.get("VIGIA_START_SECONDS", "60")))

    def log(self):
        return pathlib.Path(self.own, "log").read_text(errors="replace")

    def stop(self):
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self.process = None
        if status != 0:
            print(f"vigia up ended with {status}:\n{self.log()[-6000:]}")
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def run(self, command, *arguments):
        """Runs another command on the same data; its JSON lines or object."""
        out = subprocess.run([BINARY, command, "--config", self.config, "--json", *arguments],
                             capture_output=True, text=True, timeout=60)
        if out.returncode == 2:
            raise AssertionError(f"vigia {command}: {out.stderr}")
        lines = [json.loads(line) for line in out.stdout.splitlines() if line.strip()] \
            if "\n{" in "\n" + out.stdout.strip() and command in ("alerts",) else None
        return lines if lines is not None else json.loads(out.stdout or "null")

    def live(self):
        """The document that the pipeline writes each second."""
        def row():
            with sqlite3.connect(f"file:{self.data}/vigia.db?mode=ro", uri=True) as database:
                return database.execute("SELECT body FROM documents WHERE key = 'live'").fetchone()
        return json.loads(wait_for("the first second", row)[0])

    def request(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if self.csrf:
            headers["X-CSRF-Token"] = self.csrf
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        data = response.read()
        if response.getheader("Set-Cookie"):
            self.cookie = response.getheader("Set-Cookie").split(";")[0]
        return response.status, json.loads(data) if data else None

    def login(self, password="a password of the test"):
        """Logs in with the first login and changes the password as it must be."""
        first = pathlib.Path(self.data, "first-login").read_text().split()[1]
        status, answer = self.request("POST", "/api/v1/login", {"name": "admin", "password": first})
        assert status == 200, answer
        self.csrf = answer["csrf"]
        status, answer = self.request("POST", "/api/v1/password", {"old": first, "new": password})
        assert status in (200, 204), answer
        status, answer = self.request("POST", "/api/v1/login", {"name": "admin", "password": password})
        assert status == 200, answer
        self.csrf = answer["csrf"]


class Box:
    """A real container made by tests/e2e/containers.sh; lives until the with block ends."""

    def __init__(self, name, programs, command):
        if os.geteuid() != 0 or not shutil.which("runc"):
            skip("needs root and runc")
        options = " ".join(f"-p {p}" for p in programs)
        quoted = " ".join("'" + c.replace("'", "'\\''") + "'" for c in command)
        self.script = (f"cd {ROOT}; BUILD={pathlib.Path(BINARY).parent}; source tests/e2e/containers.sh; "
                       f"box_make {name} {options} {quoted} && box_start {name} && echo started; "
                       f"while read -r line; do eval \"$line\"; echo done $?; done")
        self.name = name

    def __enter__(self):
        self.process = subprocess.Popen(["bash", "-c", self.script], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.strip() == "started", f"the container did not start: {line}"
        return self

    def do(self, command):
        """A line of shell with the functions of containers.sh; its output up to the end of it."""
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        output = []
        for line in self.process.stdout:
            if line.startswith("done "):
                return int(line.split()[1]), "".join(output)
            output.append(line)
        raise AssertionError("the shell of the container ended")

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)
