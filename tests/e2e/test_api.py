#!/usr/bin/env python3
"""The server through its wire: real server, real store. usage: test_api.py SERVE SOURCE [NAME...]"""
import json
import os
import socket
import subprocess
import sys
import threading
import time

import api
import samples
from api import Client, Server, start, until

SERVE, SOURCE = sys.argv[1], sys.argv[2]
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
                               "dropped": {"ring full": 100}}, o["ledger"]
        web = [w for w in o["workloads"] if w["workload"] == samples.WORKLOAD][0]
        assert web["open_alerts"] == 2 and web["calls_per_s"] == 123.5, web
        _, d = c.get("/alerts?held=true")
        assert [a["id"] for a in d["alerts"]] == ["a3"] and d["total"] == 1
        _, d = c.get("/alerts?q=mysqld&state=new&limit=1")
        assert [a["id"] for a in d["alerts"]] == ["a2"], d
        _, d = c.get("/coverage")
        assert d["unwatched"][0]["reason"] == "sandbox of a pod", d
        assert d["watched"][0]["ready_in_s"] == 0
        assert c.get("/alerts/none")[0] == 404
        assert c.get("/workload?key=none")[0] == 404
        for bad in ["/alerts?limit=x", "/alerts?limit=-1", "/alerts?nope=1", "/workload",
                    "/alerts?state=odd", "/alerts?from=1&from=2", "/alerts?q=%ff"]:
            assert c.get(bad)[0] == 400, bad
        for path in ["/nothing", "/alerts/a/b", "/alerts/"]:
            assert c.get(path)[0] == 404, path
        assert c.post("/overview", {})[0] == 405


def main():
    names = sys.argv[3:] or [n for n in globals() if n.startswith("test_")]
    for name in names:
        begin = time.monotonic()
        globals()[name]()
        print(f"ok {name} {time.monotonic() - begin:.1f} s", flush=True)


main()
