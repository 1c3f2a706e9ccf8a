#!/usr/bin/env python3
"""The server through its wire: real server, real store. usage: test_api.py SERVE SOURCE [NAME...]"""
import http.client
import json
import os
import re
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import api
import samples
from api import USER_PASSWORD, Client, Server, start, vigia_user

SERVE, SOURCE = sys.argv[1], sys.argv[2]
GOLDEN = os.path.join(SOURCE, "tests/golden/golden.vgr")
GETS = ["/session", "/overview", "/alerts", "/alerts/a1", "/suppressions", "/workloads",
        "/workload?key=" + samples.WORKLOAD, "/workload/series?key=" + samples.WORKLOAD,
        "/containers", "/container?key=" + samples.KEY, "/coverage", "/ledger", "/audit"]


def test_login_and_first_password():
    with Server(SERVE, samples.ALL) as server:
        c = Client(server)
        for path in GETS:
            status, data = c.get(path)
            assert (status, data["error"]["code"]) == (401, "login_required"), (path, data)
        assert c.login("admin", "wrong password")[0] == 401
        assert c.login("nobody", server.password)[0] == 401
        status, data = c.login("admin", server.password)
        assert status == 200 and data["must_change"] and data["name"] == "admin", data
        cookie = c.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
        assert c.get("/session")[0] == 200
        for path in GETS[1:]:
            status, data = c.get(path)
            assert (status, data["error"]["code"]) == (403, "password_change_required"), path
        for new in ["short", server.password, "admin admin admin", "aaaaaaaaaaaaaaa"]:
            assert c.post("/password", {"old": server.password, "new": new})[0] == 400, new
        assert c.post("/password", {"old": "wrong", "new": api.NEW_PASSWORD})[0] == 403
        old = Client(server)
        assert old.login("admin", server.password)[0] == 200
        status, data = c.post("/password", {"old": server.password, "new": api.NEW_PASSWORD})
        assert status == 200 and not data["must_change"], data
        assert old.get("/session")[0] == 401, "a session under the old password lives on"
        assert c.get("/overview")[0] == 200
        assert Client(server).login("admin", server.password)[0] == 401
        c.csrf = data["csrf"]
        assert c.post("/logout")[0] == 200
        assert c.get("/session")[0] == 401


def test_every_get():
    server, c = start(SERVE, samples.ALL)
    with server:
        for path in GETS:
            status, data = c.get(path)
            assert status == 200, (path, status, data)
        _, o = c.get("/overview")
        assert o["alerts"]["new"] == 2 and o["live"]["calls_per_s"] == 123.5, o
        assert [a["id"] for a in o["latest"]] == ["a1", "a2"], o["latest"]
        assert o["ledger"] == {"seen": 1000, "stored": 900, "in_flight": 0, "balanced": True,
                               "dropped": {"ring full": 100}, "degraded": 0}, o["ledger"]
        web = [w for w in o["workloads"] if w["workload"] == samples.WORKLOAD][0]
        assert web["open_alerts"] == 2 and web["calls_per_s"] == 123.5, web
        _, d = c.get("/alerts?held=true")
        assert [a["id"] for a in d["alerts"]] == ["a3"] and d["total"] == 1
        _, d = c.get("/alerts?q=mysqld&state=new&limit=1")
        assert [a["id"] for a in d["alerts"]] == ["a2"], d
        scores = [a["score"] for a in c.get("/alerts?sort=score")[1]["alerts"]]
        assert scores == sorted(scores, reverse=True) and len(set(scores)) > 1, scores
        best = c.get("/alerts?sort=score&limit=1")[1]
        assert best["alerts"][0]["score"] == scores[0] and best["total"] == len(scores), best
        last = [a["last"] for a in c.get("/alerts?sort=last")[1]["alerts"]]
        assert last == sorted(last, reverse=True), last
        _, d = c.get("/coverage")
        assert d["unwatched"][0]["reason"] == "sandbox of a pod", d
        assert d["watched"][0]["ready_in_s"] == 0
        limits = {x["what"]: (x["used"], x["max"], x["refused"]) for x in d["limits"]}
        assert limits == {"containers": (1, 16384, 0), "threads": (5, 65536, 0), "processes": (3, 65536, 0),
                          "texts": (40, 131072, 5), "learning": (None, None, 6)}, limits
        _, d = c.get("/ledger")
        assert d["refused"]["texts"] == 5 and d["refused"]["learning"] == 6, d["refused"]
        assert c.get("/alerts/none")[0] == 404
        assert c.get("/workload?key=none")[0] == 404
        for bad in ["/alerts?limit=x", "/alerts?limit=-1", "/alerts?nope=1", "/workload",
                    "/alerts?state=odd", "/alerts?sort=odd", "/alerts?from=1&from=2", "/alerts?q=%ff"]:
            assert c.get(bad)[0] == 400, bad
        for path in ["/nothing", "/alerts/a/b", "/alerts/"]:
            assert c.get(path)[0] == 404, path
        for path, allow in [("/overview", "GET, HEAD"), ("/login", "POST"), ("/suppressions/x", "DELETE"),
                            ("/alerts/a1", "GET, HEAD, POST")]:
            assert c.call("PUT", "/api/v1" + path)[0] == 405 and c.headers["Allow"] == allow, (path, c.headers)
        assert c.call("POST", "/app.js")[0] == 405 and c.headers["Allow"] == "GET, HEAD", c.headers
        assert c.post("/alerts/a1", {"note": "n"})[0] == 200 and "Allow" not in c.headers


def golden_ledger():
    """{key of the container: [seen, delivered, dropped...]} of the blocks of golden.vgr."""
    counts, capture = {}, 0
    for line in subprocess.run([os.path.join(os.path.dirname(SERVE), "dump_vgr"), GOLDEN], check=True,
                               capture_output=True, text=True).stdout.splitlines():
        record = json.loads(line)
        capture = record.get("block", {}).get("capture", capture)
        if "ledger" in record:
            container, *row = record["ledger"]
            counts[f"{capture:016x}-{container:x}"] = row
    return counts


def test_ledger_in_flight():
    """Blocks that wait in the spool: each container's calls are in flight, those of the store are not."""
    with tempfile.TemporaryDirectory() as d:
        os.mkdir(d + "/spool")
        shutil.copy(GOLDEN, d + "/spool/00000000000000000001.vgr")
        with open(d + "/spool/uuid", "wb") as f:
            f.write(os.urandom(16))
        key, (seen, delivered, *dropped) = next(iter(golden_ledger().items()))
        stored = {"kind": "ledger", "key": key, "time": samples.NOW,
                  "body": {"seen": 7, "stored": 5, "dropped": {"ring full": 2}}}
        watched = samples.container(key)
        server, c = start(SERVE, [samples.LEDGER, stored, watched], ["spool=" + d + "/spool"])
        with server:
            entries = {e["key"]: e for e in c.get("/ledger")[1]["containers"]}
            assert entries.keys() == golden_ledger().keys() | {samples.KEY}, entries.keys()
            for k, row in golden_ledger().items():
                assert entries[k]["in_flight"] == row[1], (k, entries[k])
            assert entries[samples.KEY]["in_flight"] == 0 and entries[samples.KEY]["balanced"]
            one = c.get("/container?key=" + key)[1]["ledger"]
            assert (one["seen"], one["stored"], one["in_flight"]) == (7 + seen, 5, delivered), one
            assert one["dropped"]["ring full"] == 2 + dropped[0], one
            assert one["balanced"] == (seen == delivered + sum(dropped) - dropped[2]), one


class Contract:
    """docs/openapi.json, as the server gives it: replies hold what it says, all of it and nothing else."""

    def __init__(self, client):
        self.client, self.checked = client, set()
        status, self.doc = client.get("/openapi.json")
        assert status == 200

    def check(self, method, path, route=None, body=None):
        import jsonschema
        route = route or path.split("?")[0]
        status, data = self.client.call(method, path, body=body)
        reply = self.doc["paths"][route][method.lower()]["responses"][str(status)]
        schema = reply["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": self.doc["components"]}).validate(data)
        self.checked.add((method, route))
        return status, data

    def open_objects(self, schema, at, closed=False):
        """Where a reply may have members that the contract does not name, without its saying so."""
        closed = closed or "additionalProperties" in schema or "unevaluatedProperties" in schema
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            yield from self.open_objects(self.doc["components"]["schemas"][name], f"{at} {name}", closed)
        elif "object" in schema.get("type", "") and not closed:
            yield at
        for part in schema.get("allOf", []):
            yield from self.open_objects(part, at, closed)
        inner = [*schema.get("properties", {}).items(), *(("any", s) for s in schema.get("anyOf", []))]
        inner += [("[]", schema["items"])] if "items" in schema else []
        for name, part in inner:
            yield from self.open_objects(part, f"{at} {name}")


def test_openapi():
    """Routes of the program are routes of docs/openapi.json, both ways; replies are as it says."""
    server, c = start(SERVE, samples.ALL, ["sink=file,path=/dev/null"])
    with server:
        contract = Contract(c)
        doc, check, checked = contract.doc, contract.check, contract.checked
        with open(os.path.join(SOURCE, "docs/openapi.json"), encoding="utf-8") as f:
            assert doc == json.load(f)
        said = {(m.upper(), p) for p, ms in doc["paths"].items() for m in ms}
        assert said == routes_of_source(), said ^ routes_of_source()
        left = [o for p, ms in doc["paths"].items() for m, r in ms.items() for reply in r["responses"].values()
                for content in reply.get("content", {}).values()
                for o in contract.open_objects(content["schema"], f"{m} {p}")]
        assert not left, f"open schemas: {left}"
        for path in GETS + ["/openapi.json"]:
            route = "/api/v1" + ("/alerts/{id}" if path == "/alerts/a1" else path.split("?")[0])
            assert check("GET", "/api/v1" + path, route)[0] == 200
        assert check("GET", "/healthz", "/healthz")[0] == 200
        assert check("GET", "/api/v1/alerts/none", "/api/v1/alerts/{id}")[0] == 404
        assert check("GET", "/api/v1/alerts?limit=x", "/api/v1/alerts")[0] == 400
        _, d = check("POST", "/api/v1/suppressions", "/api/v1/suppressions",
                     {"workload": "w", "key": "ab", "expires": 0, "reason": "r"})
        check("DELETE", "/api/v1/suppressions/" + d["id"], "/api/v1/suppressions/{id}")
        check("POST", "/api/v1/alerts/a1", "/api/v1/alerts/{id}", {"note": "seen"})
        check("POST", "/api/v1/sinks/test", "/api/v1/sinks/test")
        check("GET", "/api/v1/audit", "/api/v1/audit")
        _, d = check("POST", "/api/v1/password", "/api/v1/password",
                     {"old": api.NEW_PASSWORD, "new": "another battery"})
        c.csrf = d["csrf"]
        check("POST", "/api/v1/logout", "/api/v1/logout")
        assert check("GET", "/api/v1/alerts", "/api/v1/alerts")[0] == 401
        check("POST", "/api/v1/login", "/api/v1/login",
              {"name": "admin", "password": "another battery"})
        left = said - checked - {("GET", "/"), ("GET", "/metrics")}
        assert not left, f"replies of {left} are not checked"


def test_openapi_of_the_pipeline():
    """What the pipeline itself writes, from a recording, is as docs/openapi.json says; alerts are those of
    the golden story."""
    golden = os.path.join(SOURCE, "tests/golden")
    with open(os.path.join(golden, "alerts.json"), encoding="utf-8") as f:
        alerts = json.load(f)
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([os.path.join(os.path.dirname(SERVE), "..", "vigia"), "replay", "--into", d,
                        os.path.join(SOURCE, "deploy/recording.vgr")], check=True, stdout=subprocess.DEVNULL)
        server, c = start(SERVE, [{"kind": "alert", "key": a["id"], "time": a["first"], "body": a} for a in alerts],
                          directory=d)
        with server:
            check = Contract(c).check
            _, o = check("GET", "/api/v1/overview")
            assert o["live"]["mode"] == "replay" and o["latest"] and o["workloads"], o
            for path in ["/alerts", "/workloads", "/containers", "/coverage", "/ledger"]:
                check("GET", "/api/v1" + path)
            for a in alerts:
                _, a = check("GET", "/api/v1/alerts/" + a["id"], "/api/v1/alerts/{id}")
                named = {x["key"] for x in a["sequences"]} & set(a["keys"])
                assert named, "the page can say of no sequence's key what it stands for"
            for w in o["workloads"]:
                for path in ["/workload", "/workload/series"]:
                    check("GET", f"/api/v1{path}?key=" + urllib.parse.quote(w["workload"]))
            processes = 0
            for k in c.get("/containers")[1]["containers"]:
                processes += len(check("GET", "/api/v1/container?key=" + k["key"])[1]["processes"])
            assert processes, "the recording has processes"


def routes_of_source():
    with open(os.path.join(SOURCE, "src/soc/route.c"), encoding="utf-8") as f:
        rows = re.findall(r'^    \{"([A-Z]+)", (?:(V1) )?"([^"]*)"', f.read(), re.M)
    return {(m, ("/api/v1" if v1 else "") + path or "/") for m, v1, path in rows}


def test_csrf_and_roles():
    with tempfile.TemporaryDirectory() as d:
        server, admin = start(SERVE, samples.ALL, ["sink=file,path=" + d + "/alerts.jsonl"])
        with server:
            csrf = admin.csrf
            for token in [None, "", "x" * 43, csrf[:-1]]:
                admin.csrf = token
                status, data = admin.post("/alerts/a1", {"note": "n"})
                assert (status, data["error"]["code"]) == (403, "csrf"), data
            admin.csrf = csrf
            status, data = admin.post("/alerts/a1", {"note": "n"},
                                      headers={"Sec-Fetch-Site": "cross-site"})
            assert (status, data["error"]["code"]) == (403, "cross_site"), data
            assert admin.post("/alerts/a1", raw=b'{"note":"n"}',
                              headers={"Content-Type": "text/plain"})[0] == 415
            vigia_user(server, "add", "vera", "-r", "viewer")
            vigia_user(server, "add", "ana", "-r", "analyst")
            vera, ana = Client(server), Client(server)
            for c, name in [(vera, "vera"), (ana, "ana")]:
                assert c.login(name, USER_PASSWORD)[0] == 200
                assert c.get("/alerts")[0] == 200
            new = {"workload": "w", "key": "ab", "expires": 0, "reason": "r"}
            table = [("POST", "/alerts/a1", {"note": "n"}), ("POST", "/suppressions", new),
                     ("GET", "/audit", None), ("POST", "/sinks/test", None)]
            got = [[c.call(m, "/api/v1" + p, body=b)[0] for c in (vera, ana, admin)]
                   for m, p, b in table]
            assert got == [[403, 200, 200], [403, 201, 201], [403, 200, 200], [403, 403, 200]], got
            with open(d + "/alerts.jsonl", encoding="utf-8") as f:
                assert json.loads(f.readline())["test"] is True
            # What happens to the user takes effect at once.
            vigia_user(server, "password", "ana")
            assert ana.get("/alerts")[0] == 401
            vigia_user(server, "role", "vera", "-r", "analyst", password=None)
            assert vera.get("/audit")[0] == 401
            assert vera.login("vera", USER_PASSWORD)[0] == 200 and vera.get("/audit")[0] == 200
            vigia_user(server, "remove", "vera", password=None)
            assert vera.get("/alerts")[0] == 401
            audit = admin.get("/audit")[1]["audit"]
            actions = {a["action"] for a in audit}
            assert {"login", "user added", "user removed", "password changed", "role changed", "alert changed",
                    "suppression added", "sinks tested"} <= actions, actions


def vigia(server, *arguments, **how):
    return subprocess.run([os.path.join(os.path.dirname(SERVE), "..", "vigia"), *arguments, "-d",
                           server.directory, "-c", "/dev/null"], stdout=subprocess.PIPE, check=True,
                          **how)


def test_verdicts():
    server, c = start(SERVE, samples.ALL)
    with server:
        assert c.post("/alerts/a1", {})[0] == 400
        assert c.post("/alerts/a1", {"state": "closed"})[0] == 400
        assert c.post("/alerts/a1", {"state": "new", "verdict": "expected"})[0] == 400
        assert c.post("/alerts/none", {"note": "x"})[0] == 404
        status, a = c.post("/alerts/a1", {"state": "acknowledged"})
        assert status == 200 and a["state"] == "acknowledged" and a["verdict"] is None
        # The pipeline goes on extending the alert: neither undoes the other.
        server.put({"kind": "alert", "key": "a1", "time": samples.NOW, "merge": True,
                    "body": {"last": samples.NOW, "score": 99.0}})
        status, a = c.post("/alerts/a1", {"verdict": "incident", "note": "a real one"})
        assert (a["state"], a["verdict"], a["score"]) == ("closed", "incident", 99.0), a
        assert [h["action"] for h in a["history"]] == ["acknowledged", "closed: incident"]
        assert a["history"][1]["who"] == "admin" and a["history"][1]["note"] == "a real one"
        status, a = c.post("/alerts/a1", {"state": "new"})
        assert (a["state"], a["verdict"], len(a["history"])) == ("new", None, 3), a
        _, s = c.post("/suppressions", {"workload": "w", "key": "0", "expires": time.time() + 60,
                                        "reason": "maintenance"})
        assert s["key"] == "0" * 16 and s["author"] == "admin", s
        assert [x["id"] for x in c.get("/suppressions")[1]["suppressions"]] == [s["id"]]
        assert c.post("/suppressions", {"workload": "w", "key": "0", "expires": 5,
                                        "reason": "past"})[0] == 400
        assert c.post("/suppressions", {"workload": "w", "key": "xyz", "expires": 0,
                                        "reason": "no key"})[0] == 400
        assert c.call("DELETE", "/api/v1/suppressions/" + s["id"])[0] == 200
        assert c.call("DELETE", "/api/v1/suppressions/" + s["id"])[0] == 404


def decided(server, alert):
    """What the store has of a decision, without who and when: alert, word to the pipeline, audit entry."""
    with sqlite3.connect(f"file:{server.directory}/vigia.db?mode=ro", uri=True) as database:
        rows = dict(database.execute("SELECT key, body FROM documents WHERE key IN (?, ?)",
                                     (alert, "verdict/" + alert)))
        audit = database.execute("SELECT body FROM documents WHERE json_extract(body, '$.target') = ?",
                                 (alert,)).fetchall()
    body, word = json.loads(rows[alert]), json.loads(rows["verdict/" + alert])
    assert word.pop("alert") == alert
    for d in [word, *body["history"]]:
        assert d.pop("time") and d.pop("who")
    return body["state"], body["verdict"], body["history"], word, [json.loads(a)["detail"] for a, in audit]


def test_page_and_command_decide_alike():
    server, c = start(SERVE, samples.ALL)
    with server:
        for api, command in [({"state": "acknowledged", "note": "on it"}, ["--acknowledge", "a2", "--note", "on it"]),
                             ({"verdict": "expected"}, ["--close", "a2", "--verdict", "expected"]),
                             ({"note": "later"}, ["--id", "a2", "--note", "later"]),
                             ({"state": "new"}, ["--reopen", "a2"])]:
            assert c.post("/alerts/a1", api)[0] == 200
            vigia(server, "alerts", *command)
            assert decided(server, "a1") == decided(server, "a2"), (decided(server, "a1"), decided(server, "a2"))
        state, verdict, history, word, _ = decided(server, "a1")
        assert (state, verdict, word) == ("new", None, {"state": "new", "verdict": None})
        assert [h["action"] for h in history] == ["acknowledged", "closed: expected", "note", "new"], history


def test_login_brakes():
    server, admin = start(SERVE, samples.ALL)
    with server:
        vigia_user(server, "add", "ana", "-r", "analyst")
        c = Client(server)
        got = [c.login("ana", "wrong")[0] for _ in range(7)]
        assert got == [401] * 5 + [429] * 2, got
        assert 1 <= int(c.headers["Retry-After"]) <= 60
        assert c.login("ana", USER_PASSWORD)[0] == 429, "the right password gets past the brake"
        assert admin.get("/overview")[0] == 200
        vigia_user(server, "unlock", "ana", password=None)
        assert c.login("ana", USER_PASSWORD)[0] == 200
        got = [c.login(f"nobody{i}", "wrong")[0] for i in range(22)]
        assert got[0] == 401 and got[-1] == 429, got
        assert "vigia_logins_braked_total" in c.call("GET", "/metrics")[1].decode()


def login_from(server, address, name):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=(address, 0))
    c.request("POST", "/api/v1/login", json.dumps({"name": name, "password": "wrong"}),
              {"Content-Type": "application/json"})
    status = c.getresponse().status
    c.close()
    return status


def test_loopback_addresses_are_one():
    server, admin = start(SERVE, samples.ALL)
    with server:
        assert [login_from(server, "127.0.0.2", "admin") for _ in range(6)] == [401] * 5 + [429]
        got = [login_from(server, f"127.9.{i}.1", f"nobody{i}") for i in range(20)]
        assert got[0] == 401 and got[-1] == 429, got
        # Who it was is written down in full.
        addresses = {a["address"] for a in admin.get("/audit?limit=50")[1]["audit"]}
        assert {"127.0.0.2", "127.9.0.1"} <= addresses, addresses


def test_one_client_leaves_connections_to_others():
    server, c = start(SERVE, samples.ALL, ["idle_s=30", "connections_max=64"])
    with server:
        taken = [socket.create_connection(("127.0.0.1", server.port), source_address=(f"127.0.0.{i + 1}", 0))
                 for i in range(45)]
        # Four threads accept, and the last of the login's connections may still count.
        api.until(lambda: len(select.select(taken, [], [], 0)[0]) >= 45 - 32 - 3)
        time.sleep(0.5)
        closed = select.select(taken, [], [], 0)[0]
        assert len(closed) <= 45 - 32 + 3, len(closed)
        for s in taken:
            s.close()
        text = api.until(lambda: metrics_text(c))
        assert float(re.search(r"^vigia_http_connections_refused_total (\S+)", text, re.M)[1]) >= len(closed)


def metrics_text(c):
    try:
        return c.call("GET", "/metrics")[1].decode()
    except OSError:
        return None


def test_unknown_users_take_as_long():
    with Server(SERVE) as server:
        took = {"admin": [], "nobody": []}
        for _ in range(4):  # the brake on a name's logins comes after
            for name, times in took.items():
                begin = time.monotonic()
                assert Client(server).login(name, "wrong")[0] == 401
                times.append(time.monotonic() - begin)
        assert min(took["nobody"]) > 0.3 * min(took["admin"]), took


def test_bad_bodies():
    server, c = start(SERVE, samples.ALL, ["idle_s=30"])
    with server:
        for raw in [b"", b"{", b"[]", b"null", b'{"note":1}', b'{"note":"\xff"}', b'{"x":1}',
                    b'{"note":"a","note":"b"}', b'{"note":"\\u0000"}', b"[" * 5000,
                    b'{"note":"' + b"x" * 5000 + b'"}']:
            status, data = c.post("/alerts/a1", raw=raw, headers={"Content-Type": "application/json"})
            assert status == 400 and data["error"]["message"], (raw[:40], status)
        status, data = c.post("/alerts/a1", raw=b"x" * 70000,
                              headers={"Content-Type": "application/json"})
        assert (status, data["error"]["code"]) == (413, "too_large"), data
        # Larger than it says, by chunks: refused or cut off, never swallowed.
        s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        s.sendall(b"POST /api/v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(200):
                s.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            s.sendall(b"0\r\n\r\n")
            reply = s.recv(100)
            assert reply == b"" or b" 413 " in reply, reply
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.close()
        for line in [b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\0\xff\r\n\r\n",
                     b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n"]:
            s = socket.create_connection(("127.0.0.1", server.port), timeout=60)
            try:
                s.sendall(line)
                reply = s.recv(100)
                assert reply == b"" or reply.split()[1][:1] == b"4", reply
            except (BrokenPipeError, ConnectionResetError):
                pass
            s.close()
        assert c.get("/overview")[0] == 200


def test_hostile_bytes():
    """What containers are called reaches the client as JSON, whatever it is."""
    name = "<script>alert(1)</script>\u202e\n../../etc/passwd"
    server, c = start(SERVE, [samples.container(name=name, workload=name), samples.profile(name)])
    with server:
        status, data = c.get("/containers")
        assert status == 200 and data["containers"][0]["name"] == name
        assert c.headers["Content-Type"] == "application/json"
        assert c.headers["X-Content-Type-Options"] == "nosniff"
        status, _ = c.get("/workload?key=" + urllib.parse.quote(name))
        assert status == 200


def test_slow_clients():
    """Connections that send a byte now and then do not hold up the others, and are cut off."""
    server, c = start(SERVE, samples.ALL, ["request_s=2", "idle_s=30", "connections_max=128"])
    with server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
        end = time.monotonic() + 30
        open_ones = set(slow)
        while open_ones and time.monotonic() < end:
            for s in list(open_ones):
                try:
                    s.send(b"G")
                except OSError:
                    open_ones.discard(s)
            begin = time.monotonic()
            assert c.get("/session")[0] == 200
            assert time.monotonic() - begin < 10
            time.sleep(0.2)
        assert not open_ones, f"{len(open_ones)} slow connections live on"
        text = c.call("GET", "/metrics")[1].decode()
        assert float(re.search(r"^vigia_http_connections_cut_total (\S+)", text, re.M)[1]) >= 40


def test_headers_and_page():
    server, c = start(SERVE, samples.ALL)
    with server:
        status, data = c.call("GET", "/")
        assert status == 200 and b"<html" in data.lower()
        policy = c.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
        assert "script-src 'self';" in policy
        assert c.headers["Referrer-Policy"] == "no-referrer"
        assert c.call("GET", "/no/such.js")[0] == 404
        assert c.call("GET", "/../../etc/passwd")[0] in (200, 404)
        status, _ = c.call("GET", "/api/v1/openapi.json")
        etag = c.headers["ETag"]
        status, data = c.call("GET", "/api/v1/openapi.json", headers={"If-None-Match": etag})
        assert (status, data) == (304, b"")
        if os.path.exists(os.path.join(SOURCE, "ui/dist/app.js")):
            with open(os.path.join(SOURCE, "ui/dist/app.js"), "rb") as f:
                status, data = c.call("GET", "/app.js")
                assert data == f.read() and "javascript" in c.headers["Content-Type"]


def test_port_taken():
    """A port that another server has is refused and said, never shared between the two."""
    with Server(SERVE) as one:
        try:
            with Server(SERVE, options=[f"port={one.port}"]):
                raise AssertionError("two servers have one port")
        except RuntimeError as refused:
            assert f"port {one.port}: Address already in use" in str(refused), refused


def test_metrics():
    server, c = start(SERVE, samples.ALL)
    with server:
        status, data = Client(server).call("GET", "/metrics")
        text = data.decode()
        assert status == 200 and c.call("GET", "/metrics")[0] == 200
        typed = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", text, re.M))
        helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
        named = {re.match(r"[a-z0-9_]+", line)[0] for line in text.splitlines()
                 if line and line[0] != "#"}
        assert named <= typed and typed == helped, named ^ typed
        assert all(re.fullmatch(r'[a-z0-9_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+', line)
                   for line in text.splitlines() if line[0] != "#")
        assert "vigia_calls_total 1000\n" in text
        assert 'vigia_calls_dropped_total{reason="ring full"} 100\n' in text
        assert 'vigia_alerts{state="new"} 3\n' in text
        assert "vigia_containers 1\n" in text, "one of the two is wanted"
        assert 'vigia_refused_total{table="texts"} 5\n' in text
        assert 'vigia_refused_total{table="learning"} 6\n' in text
        assert Client(server).call("GET", "/metrics", headers={"Host": "evil.example"})[0] == 401
        assert Client(server).call("GET", "/healthz")[1] == {"status": "ok"}
    with Server(SERVE, samples.ALL, ["metrics_token=secret token"]) as server:
        c = Client(server)
        assert c.call("GET", "/metrics")[0] == 401
        assert c.call("GET", "/metrics", headers={"Authorization": "Bearer wrong"})[0] == 401
        assert c.call("GET", "/metrics", headers={"Authorization": "Bearer secret token"})[0] == 200


def test_tls():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-keyout", d + "/key.pem", "-out",
                        d + "/cert.pem"], check=True, stderr=subprocess.DEVNULL)
        pair = [f"certificate={d}/cert.pem", f"key={d}/key.pem"]
        os.chmod(d + "/key.pem", 0o600)
        for options, why in [(["address=0.0.0.0"], "in the clear"), (["address=::"], "in the clear"),
                             (["address=0.0.0.0", pair[0]], "belong together: give both"),
                             (["address=vigia.example"], "IPv4 or IPv6 address"),
                             ([pair[0], f"key={d}/cert.pem"], "TLS"),
                             ([pair[0], f"key={d}/none.pem"], "none.pem")]:
            try:
                Server(SERVE, [], options)
            except RuntimeError as e:
                assert why in str(e), (options, str(e))
            else:
                raise AssertionError(f"started with {options}")
        os.chmod(d + "/key.pem", 0o644)
        try:
            Server(SERVE, [], pair)
        except RuntimeError as e:
            assert "chmod 600" in str(e)
        os.chmod(d + "/key.pem", 0o600)
        server, c = start(SERVE, samples.ALL, ["address=0.0.0.0", *pair])
        with server:
            assert server.tls and c.get("/overview")[0] == 200
            c.login("admin", api.NEW_PASSWORD)
            assert "Secure" in c.headers["Set-Cookie"]
            assert c.headers["Set-Cookie"].startswith("__Host-vigia=")
            assert "Strict-Transport-Security" in c.headers
            assert c.call("GET", "/metrics")[0] == 401


def test_many_at_once():
    server, c = start(SERVE, samples.ALL)
    with server:
        bad = []

        def work(n):
            mine = Client(server)
            mine.cookie, mine.csrf = c.cookie, c.csrf
            for i in range(30):
                if mine.get(GETS[(n + i) % len(GETS)])[0] != 200:
                    bad.append(GETS[(n + i) % len(GETS)])
                if i % 10 == 0 and mine.post("/alerts/a2", {"note": f"{n} {i}"})[0] != 200:
                    bad.append("note")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not bad, bad
        assert len(c.get("/alerts/a2")[1]["history"]) == 24


def main():
    names = sys.argv[3:] or [n for n in globals() if n.startswith("test_")]
    for name in names:
        begin = time.monotonic()
        globals()[name]()
        print(f"ok {name} {time.monotonic() - begin:.1f} s", flush=True)


main()
