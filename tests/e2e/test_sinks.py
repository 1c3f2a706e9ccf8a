#!/usr/bin/env python3
"""Sinks against real receivers. usage: test_sinks.py SERVE [NAME...]"""
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import samples
from api import Server, until

SERVE = sys.argv[1]
SECRET = "a shared secret"


def alert(name, **more):
    return {**samples.alert(name, **more), "deliver": True}


class Hook:
    """A webhook receiver that answers as it is told, then 200."""

    def __init__(self, answers=()):
        self.answers, self.got, hook = list(answers), [], self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, wait = (hook.answers.pop(0) if hook.answers else (200, {}, 0))
                hook.got.append((time.monotonic(), status, dict(self.headers), body))
                time.sleep(wait)
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self):
        return [json.loads(b) for _, status, _, b in self.got if status == 200]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def queued(server):
    db = sqlite3.connect(f"file:{server.directory}/vigia.db?mode=ro", uri=True)
    n = db.execute("SELECT count(*) FROM documents WHERE kind = 11").fetchone()[0]
    db.close()
    return n


def counter(server, sink, outcome):
    import urllib.request
    text = urllib.request.urlopen(server.url + "metrics").read().decode()
    m = re.search(rf'^vigia_sink_deliveries_total{{sink="{sink}",outcome="{outcome}"}} (\d+)', text, re.M)
    return int(m[1])


def test_webhook_is_retried():
    """500 twice, then 429 that asks for time, then 200."""
    answers = [(500, {}, 0), (500, {}, 0), (429, {"Retry-After": "1"}, 0)]
    with Hook(answers) as hook, Server(
            SERVE, [], [f"sink=webhook,url={hook.url},secret={SECRET},retry_min_s=0.05"]) as server:
        server.put(alert("a1"))
        until(hook.taken)
        assert [g[1] for g in hook.got] == [500, 500, 429, 200]
        assert hook.got[3][0] - hook.got[2][0] >= 0.95, "Retry-After was not waited for"
        _, _, headers, body = hook.got[3]
        expected = hmac.new(SECRET.encode(), headers["X-Vigia-Timestamp"].encode() + b"." + body,
                            hashlib.sha256).hexdigest()
        assert headers["X-Vigia-Signature"] == "sha256=" + expected
        assert abs(int(headers["X-Vigia-Timestamp"]) - time.time()) < 10
        assert len({g[2]["X-Vigia-Delivery"] for g in hook.got}) == 1, "the id changed"
        taken = hook.taken()[0]
        assert taken["delivery"] == headers["X-Vigia-Delivery"] == "webhook/a1/0"
        assert taken["alert"]["id"] == "a1" and taken["alert"]["score"] == 87.5
        until(lambda: queued(server) == 0)
        until(lambda: counter(server, "webhook", "sent") == 1)
        assert counter(server, "webhook", "retried") == 3
        time.sleep(0.3)
        assert len(hook.got) == 4, "sent again though it was taken"


def test_webhook_refuses():
    with Hook([(400, {}, 0), (302, {"Location": "http://127.0.0.1:1/"}, 0)]) as hook, Server(
            SERVE, [], [f"sink=webhook,url={hook.url}"]) as server:
        server.put(alert("a1"))
        until(lambda: len(hook.got) == 1)
        server.put(alert("a2"))
        until(lambda: counter(server, "webhook", "refused") == 2)
        until(lambda: queued(server) == 0)
        assert len(hook.got) == 2
        assert "X-Vigia-Signature" not in hook.got[0][2]


def test_score_min_and_held():
    with Hook() as hook, Server(SERVE, [], [f"sink=webhook,url={hook.url},score_min=80"]) as server:
        server.put(alert("low", score=79.0))
        server.put(alert("held", held=True))
        server.put(alert("high", score=80.0))
        until(hook.taken)
        time.sleep(0.3)
        assert [t["alert"]["id"] for t in hook.taken()] == ["high"]


def test_dead():
    """What nobody takes is given up, counted, and does not hold up the other sinks."""
    with tempfile.TemporaryDirectory() as d, Server(SERVE, [], [
            "sink=webhook,name=gone,url=http://127.0.0.1:9/,retry_min_s=0.05,retry_max_s=0.1,"
            "dead_after_s=0.5", f"sink=file,path={d}/alerts.jsonl"]) as server:
        server.put(alert("a1"))
        until(lambda: counter(server, "file", "sent") == 1)
        until(lambda: counter(server, "gone", "dead") == 1)
        until(lambda: queued(server) == 0)
        db = sqlite3.connect(f"file:{server.directory}/vigia.db?mode=ro", uri=True)
        rows = [json.loads(r[0]) for r in db.execute("SELECT body FROM documents WHERE kind = 9")]
        assert any(r["action"] == "delivery given up" and r["target"] == "gone/a1/0" for r in rows), rows
        db.close()


def audited(server):
    """What the audit log says of deliveries."""
    db = sqlite3.connect(f"file:{server.directory}/vigia.db?mode=ro", uri=True)
    rows = [json.loads(r[0]) for r in db.execute("SELECT body FROM documents WHERE kind = 9")]
    db.close()
    return [(r["action"], r["target"]) for r in rows if "delivery" in r["action"]]


def test_sink_that_is_gone():
    """Its deliveries wait for it to come back; those older than three days are given up, at a start,
    in the log and in the audit log; without any sink too."""
    def delivery(sink, name, age):
        return {"kind": "delivery", "key": f"{sink}/{name}/0", "time": time.time(),
                "body": {"sink": sink, "alert": name, "serial": 0, "created": time.time() - age,
                         "attempts": 0}}

    with tempfile.TemporaryDirectory() as d:
        out = [f"sink=file,name=old,path={d}/alerts.jsonl"]
        documents = [samples.alert("a1"), samples.alert("a2"), delivery("old", "a1", 4 * 86400),
                     delivery("old", "a2", 2 * 86400), delivery("new", "a2", 60)]
        with Server(SERVE, documents, [f"sink=file,name=new,path={d}/new.jsonl"], directory=d) as server:
            until(lambda: counter(server, "new", "sent") == 1)
            assert queued(server) == 1
            assert audited(server) == [("delivery given up", "old/a1/0")]
            assert "old/a1/0: its sink is not configured any more" in server.errors()
            assert '1 delivery waits for sinks that are not configured ("old")' in server.errors()
        with Server(SERVE, [], out, directory=d) as server:
            until(lambda: queued(server) == 0)
        with open(d + "/alerts.jsonl", encoding="utf-8") as f:
            assert [json.loads(x)["alert"]["id"] for x in f] == ["a2"]
        with Server(SERVE, [delivery("old", "a2", 4 * 86400)], [], directory=d) as server:
            assert queued(server) == 0 and ("delivery given up", "old/a2/0") in audited(server)


def test_kill_9_between():
    """Killed while the receiver has the alert and has not answered, again and again: every alert
    arrives at least once, and the id tells the copies."""
    directory = tempfile.mkdtemp(prefix="vigia-sinks-")
    names = [f"a{i}" for i in range(12)]
    with Hook([(200, {}, 0.15)] * 60) as hook:
        options = [f"sink=webhook,url={hook.url},retry_min_s=0.05"]
        for i, name in enumerate(names):
            server = Server(SERVE, [], options, directory=directory)
            server.put(alert(name))
            time.sleep(0.02 * (i % 6))
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        with Server(SERVE, [], options, directory=directory) as server:
            until(lambda: queued(server) == 0)
        ids = [t["delivery"] for t in hook.taken()]
        assert set(ids) == {f"webhook/{n}/0" for n in names}, set(ids)
        assert len(ids) > len(names), "no delivery was cut off: the test is too kind"
    subprocess.run(["rm", "-r", directory], check=True)


HEADER = re.compile(rb'<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) vigia (\d+) (alert|test) '
                    rb'(\[vigia@32473(?: [a-zA-Z]+="(?:[^"\\\]]|\\["\\\]])*")+\]) (.*)', re.S)


def check_syslog(message, headline="nginx started a shell"):
    m = HEADER.fullmatch(message)
    assert m, message
    assert int(m[1]) == 10 * 8 + 3 and m[3] == b"node1", message
    assert b'alert="a1"' in m[6] and b'score="88"' in m[6], message
    assert m[7].decode() == headline, message


def test_syslog_udp():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    s.settimeout(60)
    with Server(SERVE, [], [f"sink=syslog,address=127.0.0.1:{s.getsockname()[1]}"]) as server:
        server.put(alert("a1"))
        check_syslog(s.recv(65536))
        until(lambda: queued(server) == 0)
        server.put(alert("a1", headline='odd "\\]\n\x1b[31m name', workload='w"]\\\n'))
        message = s.recv(65536)
        check_syslog(message, 'odd "\\]  [31m name')
        assert b'workload="w\\"\\]\\\\ "' in message, message
        until(lambda: queued(server) == 0)
        server.put(alert("a1", headline="caf\u00e9 \u009b2J\u202eexe", workload="w\u009b\u202e"))
        message = s.recv(65536)
        check_syslog(message, "caf\u00e9  2J exe")
        assert b'workload="w  "' in message, message
        until(lambda: queued(server) == 0)
    s.close()


def test_syslog_unix():
    with tempfile.TemporaryDirectory() as d:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(d + "/log")
        s.settimeout(60)
        with Server(SERVE, [], [f"sink=syslog,path={d}/log"]) as server:
            server.put(alert("a1"))
            check_syslog(s.recv(65536))
        s.close()


def counted(c):
    """The next message of a connection: its size in digits, a blank, so many bytes."""
    size = b""
    while not size.endswith(b" "):
        size += c.recv(1)
    message = b""
    while len(message) < int(size):
        message += c.recv(int(size) - len(message))
    return message


def test_syslog_tcp():
    """Octet counting, and a receiver that hangs up between two alerts."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    with Server(SERVE, [], [f"sink=syslog,address={address},protocol=tcp,retry_min_s=0.05"]) as server:
        for _ in range(2):
            server.put(alert("a1"))
            c, _ = listener.accept()
            c.settimeout(60)
            check_syslog(counted(c))
            until(lambda: queued(server) == 0)
            c.close()
    listener.close()


def test_syslog_tcp_stream_in_one_connection():
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(60)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    with Server(SERVE, [], [f"sink=syslog,address={address},protocol=tcp"]) as server:
        for i in range(20):
            server.put(alert(f"a{i}"))
        c, _ = listener.accept()
        c.settimeout(60)
        got = [counted(c) for _ in range(20)]
        assert all(HEADER.fullmatch(g) for g in got)
        assert {re.search(rb'alert="(a\d+)"', g)[1] for g in got} == {b"a%d" % i for i in range(20)}
        c.close()
    listener.close()


def test_file():
    with tempfile.TemporaryDirectory() as d:
        path = d + "/alerts.jsonl"
        with Server(SERVE, [], [f"sink=file,path={path},retry_min_s=0.05"]) as server:
            server.put(alert("a1"))
            until(lambda: queued(server) == 0)
            os.rename(path, path + ".1")
            server.put(alert("a2"))
            until(lambda: queued(server) == 0)
            os.chmod(path, 0o640)
            os.remove(path)
            os.symlink("/etc/passwd", path)  # is not followed
            server.put(alert("a3"))
            until(lambda: counter(server, "file", "retried") >= 1)
            os.remove(path)
            until(lambda: queued(server) == 0)
        with open(path + ".1", encoding="utf-8") as f:
            assert [json.loads(x)["alert"]["id"] for x in f] == ["a1"]
        with open(path, encoding="utf-8") as f:
            assert [json.loads(x)["alert"]["id"] for x in f] == ["a3"]


def test_wrong_options():
    for option, why in [("file", "path: must be given"), ("syslog,address=nowhere", "host:port"),
                        ("syslog,protocol=smoke", "udp, tcp or unix"), ("webhook,url=ftp://x", "https://"),
                        ("pigeon", "none of file, syslog, webhook"),
                        ("file,path=/tmp/x,name=a b", "a name has")]:
        try:
            Server(SERVE, [], ["sink=" + option])
        except RuntimeError as e:
            assert why in str(e), (option, str(e))
        else:
            raise AssertionError(f"started with sink {option}")


def main():
    names = sys.argv[2:] or [n for n in globals() if n.startswith("test_")]
    for name in names:
        begin = time.monotonic()
        globals()[name]()
        print(f"ok {name} {time.monotonic() - begin:.1f} s", flush=True)


main()
