"""Documents as the pipeline writes them."""
import time

NOW = time.time()
KEY = "fedcba9876543210-7"
WORKLOAD = "shop/Deployment/web"


def alert(name, **more):
    body = {
        "state": "new", "verdict": None, "score": 87.5, "provisional": True, "phase": "steady",
        "held": False, "open": True, "first": NOW - 60, "last": NOW - 30, "raised": NOW - 59.5,
        "latency_s": 0.5, "workload": WORKLOAD,
        "container": {"key": KEY, "id": "ab" * 32, "name": "web", "image": "nginx:1.25",
                      "namespace": "shop", "pod": "web-1", "node": "node1"},
        "headline": "nginx started a shell", "why": ["It never started a program."],
        "channels": [{"channel": "novelty", "peak": 4.0, "threshold": 1.0, "share": 1.0,
                      "over": True}],
        "detectors": [{"name": "novelty", "share": 1.0}],
        "processes": [{"id": "100-5", "parent": None, "tgid": 100, "program": "/bin/sh",
                       "arguments": "sh -c id", "first": NOW - 60, "last": NOW - 30,
                       "strange": True, "flags": ["session"]}],
        "sequences": [{"time": NOW - 60, "process": "100-5", "program": "/bin/sh",
                       "detector": "stide", "value": 2.5, "key": "00000000deadbeef",
                       "sentence": "It read the password file.",
                       "calls": [{"name": "openat", "result": "3", "argument": "read /etc/shadow",
                                  "context": False, "strange": True, "meaning": "open a file"}],
                       "expected": [{"name": "read", "share": 0.9}]}],
        "novelties": [{"kind": "program", "time": NOW - 60, "program": "/bin/sh", "text": "/bin/sh",
                       "sentence": "The program /bin/sh never ran here.", "process": "100-5",
                       "count": 1, "key": "00000000cafebabe"}],
        "keys": ["00000000deadbeef"], "replicas": 1, "repeats": 0, "linked": None,
        "profile_version": 3, "calls": 64, "history": [],
    }
    body.update(more)
    return {"kind": "alert", "key": name, "time": body["first"], "body": body}


def profile(workload=WORKLOAD, state="ready"):
    part = {"state": state, "progress": 1.0, "reason": "15 active minutes were seen", "eta_s": None}
    return {"kind": "profile", "key": workload, "time": NOW, "body": {
        "workload": workload, "state": state, "reason": "steady and start-up are learnt",
        "steady": part, "startup": {**part, "starts": 2}, "version": 3, "provisional": True,
        "thresholds": {"novelty": 1.0, "sequence": 1.0, "frequency": None},
        "off": {"frequency": "too little was seen"},
        "learnt": {"calls": 100000, "windows": 2000, "active_s": 1000.0, "observed_s": 2000.0,
                   "programs": 4, "pairs": 80, "ngrams": 900},
        "asked_per_day": 1.0, "alerts": {"count": 0, "since": NOW - 900, "per_day_upper95": 200.0},
        "containers": 1, "suppressed": 0, "updated": NOW}}


def container(key=KEY, **more):
    body = {
        "key": key, "number": 7, "capture": "fedcba9876543210", "id": "ab" * 32,
        "runtime": "containerd", "name": "web", "image": "nginx:1.25", "version": "1.25",
        "namespace": "shop", "pod": "web-1", "owner": "Deployment/web", "command": "nginx",
        "workload": WORKLOAD, "state": "running", "wanted": True, "reason": "", "attached": False, "sandbox": False,
        "phase": "steady", "born": NOW - 1000, "gone": None, "labels": {"app": "web"},
        "node": "node1", "calls": 100000, "calls_per_s": 123.5}
    body.update(more)
    return {"kind": "container", "key": key, "time": NOW - 1000, "body": body}


def live(time, **more):
    """STATE "live", member for member as src/cli/live.c writes it; test_kill.py holds it against that."""
    tables = {"containers": 1, "threads": 5, "processes": 3, "texts": 40}
    body = {
        "pid": 1, "version": "0.1.0", "mode": "live", "started": time - 1000, "calls_per_s": 123.5,
        "windows_per_s": 2.0, "latency": {"p50_s": 0.2, "p99_s": 0.4, "n": 256},
        "alert_latency": {"p50_s": 0.28, "p99_s": 0.61, "n": 3}, "level": "full",
        "agent": {"capture": "fedcba9876543210", "cpus": 2, "ring_bytes": 4194304, "ring_fill": 0.01,
                  **tables, "max": {"containers": 16384, "threads": 65536, "processes": 65536, "texts": 131072},
                  "refused": {**dict.fromkeys(tables, 0), "texts": 3, "bins": 0}, "retries": 0,
                  "cpu_share": 0.021, "rss_bytes": 20000000, "error": 0},
        "spool": {"first": 1, "last": 9, "acknowledged": 9, "size_bytes": 1000000, "segments": 1,
                  "written_bytes": 1000000, "blocks_lost": 0, "blocks_corrupt": 0, "write_errors": 0,
                  "degraded": False},
        "engine": {"windows": 2000, "calls": 100000, "anomalies": 4, "lag_s": 0.1, "profiles": 2,
                   "alerts_open": 1, "suppressed": 0,
                   "refused": {"containers": 0, "processes": 0, "texts": 2, "profiles": 0, "alerts": 0,
                               "learning": 6}},
        "rates": [{"time": time - 1, "calls": 120}]}
    body.update(more)
    return {"kind": "state", "key": "live", "time": time, "body": body}


LIVE = live(NOW)
LEDGER = {"kind": "ledger", "key": KEY, "time": NOW,
          "body": {"seen": 1000, "stored": 900, "dropped": {"ring full": 100}}}
BLIND = {"kind": "blind", "key": "fedcba9876543210-1", "time": NOW - 500,
         "body": {"from": NOW - 500, "until": NOW - 400, "reason": "reboot"}}
PROCESS = {"kind": "process", "key": "fedcba9876543210-100-5", "time": NOW - 60, "body": {
    "container": KEY, "tgid": 100, "parent_tgid": 1, "parent": "fedcba9876543210-1-1",
    "first": NOW - 60, "program": "/bin/sh", "path": "/bin/sh", "arguments": "sh -c id", "flags": 16,
    "last": NOW - 30, "exit_code": 0}}

ALL = [alert("a1"), alert("a2", score=60.0, first=NOW - 600, headline="mysqld read /proc"),
       alert("a3", held=True, phase="startup", first=NOW - 700), profile(),
       profile("db", "learning"), container(),
       container("fedcba9876543210-8", number=8, name="pause", wanted=False,
                 reason="sandbox of a pod", workload=""), LIVE, LEDGER, BLIND, PROCESS]
