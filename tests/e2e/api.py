"""The real server as a process, and a client that says what comes back. Standard library only."""
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time

NEW_PASSWORD = "correct horse battery"  # of the admin
USER_PASSWORD = "an honest password"  # of all others


class Server:
    """build/tests/serve on a store of its own."""

    def __init__(self, program, documents=(), options=(), directory=None, wrapper=()):
        self.program = program
        self.directory = directory or tempfile.mkdtemp(prefix="vigia-api-")
        self.keep = directory is not None
        self.log = open(os.path.join(self.directory, "serve.log"), "ab")
        self.process = subprocess.Popen(
            [*wrapper, program, os.path.join(self.directory, "vigia.db"), *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        for d in documents:
            self.process.stdin.write(json.dumps(d).encode() + b"\n")
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            text = self.errors()
            self.stop(ended=self.process.wait(timeout=30))
            raise RuntimeError(f"the server did not start: {text}")
        told = json.loads(line)
        self.url, self.password = told["url"], told["password"]
        self.tls = self.url.startswith("https")
        self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])

    def put(self, document):
        self.process.stdin.write(json.dumps(document).encode() + b"\n")
        self.process.stdin.flush()
        assert json.loads(self.process.stdout.readline())["put"]

    def errors(self):
        self.log.flush()
        with open(self.log.name, encoding="utf-8", errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, ended=0):
        """ended: the status that is right, beside that of kill()."""
        if self.process.poll() is None:
            self.process.stdin.close()
        status = self.process.wait(timeout=30)
        text = self.errors()
        self.log.close()
        if not self.keep:
            shutil.rmtree(self.directory)
        if status not in (ended, -9) or "Sanitizer" in text:
            raise RuntimeError(f"the server ended with {status}: {text[-4000:]}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Client:
    """One person: a cookie and a CSRF token."""

    def __init__(self, server):
        self.server, self.cookie, self.csrf = server, None, None
        self.headers = {}

    def call(self, method, path, body=None, headers=None, raw=None):
        """(status, JSON or bytes); the response's headers are in self.headers."""
        if self.server.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            c = http.client.HTTPSConnection("127.0.0.1", self.server.port, context=context)
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.server.port)
        c.timeout = 30
        send = {}
        if self.cookie:
            send["Cookie"] = self.cookie
        if self.csrf:
            send["X-CSRF-Token"] = self.csrf
        if body is not None:
            send["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        send.update(headers or {})
        send = {k: v for k, v in send.items() if v is not None}
        c.request(method, path, body=raw, headers=send)
        r = c.getresponse()
        data = r.read()
        self.headers = dict(r.getheaders())
        cookie = r.getheader("Set-Cookie")
        if cookie:
            self.cookie = cookie.split(";")[0]
        c.close()
        if r.getheader("Content-Type", "").startswith("application/json") and data:
            data = json.loads(data)
        return r.status, data

    def get(self, path, **more):
        return self.call("GET", "/api/v1" + path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", "/api/v1" + path, body=body, **more)

    def login(self, name, password):
        status, data = self.post("/login", {"name": name, "password": password})
        if status == 200:
            self.csrf = data["csrf"]
        return status, data


def start(program, documents=(), options=(), **more):
    """A server and an admin who has changed the password."""
    server = Server(program, documents, options, **more)
    admin = Client(server)
    assert admin.login("admin", server.password)[0] == 200
    status, data = admin.post("/password", {"old": server.password, "new": NEW_PASSWORD})
    assert status == 200, data
    admin.csrf = data["csrf"]
    return server, admin


def vigia_user(server, *arguments, password=USER_PASSWORD):
    """`vigia user` on the store of the server."""
    subprocess.run([os.path.join(os.path.dirname(server.program), "..", "vigia"), "user", *arguments,
                    "-d", server.directory], input=(password or "").encode() + b"\n", check=True,
                   stdout=subprocess.DEVNULL)


def until(what, seconds=60):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")
