"""What the tests of the page put into the store: two workloads, three containers (one of them with a
hostile name), alerts of every state."""
import samples

CAPTURE = "00000000000000c1"
EVIL = '<img src=x onerror="window.owned=1">\u202egnp.exe'
WEB, REDIS = "shop/web/httpd", "shop/redis/redis"
HEADLINE = "dash, started by the web server, read /etc/shadow and ran /tmp/.x1, a program not from the image"
PROGRAMS = {"00000000000000a1": "/usr/sbin/lighttpd", "00000000000000a2": "/usr/bin/dash"}


def container_key(number):
    return f"{CAPTURE}-{number:x}"


def container(now, number, name, workload, image, state="running", wanted=True, reason=""):
    body = {"number": number, "capture": CAPTURE, "id": f"{number * 17:02x}" * 32, "runtime": "containerd",
            "name": name, "image": image, "version": "1.2", "namespace": "shop", "pod": "pod-7d9f", "owner": "",
            "command": "/usr/sbin/lighttpd -D", "workload": workload, "state": state, "wanted": wanted,
            "reason": reason, "attached": False, "sandbox": False, "phase": "steady", "born": now - 7200, "gone": None,
            "labels": {"app": name}, "node": "node-1", "calls": 8123456 * number, "calls_per_s": 3211.5 * number}
    return document("container", container_key(number), now, body)


def document(kind, key, time, body):
    return {"kind": kind, "key": key, "time": time, "body": body}


def profile(now, workload, state, progress, reason):
    ready = state == "ready"
    body = {"workload": workload, "state": state, "reason": reason,
            "steady": {"state": state, "progress": progress, "reason": reason, "eta_s": 0 if ready else 540},
            "startup": {"state": "learning", "progress": 0.5, "reason": "one of two starts seen", "eta_s": None,
                        "starts": 1},
            "version": 7, "provisional": True,
            "thresholds": {"novelty": 1.0, "sequence": 1.93, "frequency": 2.2} if ready
            else {"novelty": None, "sequence": None, "frequency": None}, "off": {},
            "learnt": {"calls": 12345678, "windows": 220000, "active_s": 910, "observed_s": 1400, "programs": 4, "pairs": 122,
                       "ngrams": 8123},
            "asked_per_day": 1.0, "alerts": {"count": 1, "since": now - 86400, "per_day_upper95": 4.7},
            "containers": 1, "suppressed": 0, "updated": now}
    return document("profile", workload, now, body)


def call(name, result="ok", argument=None, context=False, strange=False, meaning="does something"):
    return {"name": name, "result": result, "argument": argument, "context": context, "strange": strange,
            "meaning": meaning}


def processes(first):
    def process(name, parent, tgid, program, arguments, start, end, strange, flags=()):
        return {"id": name, "parent": parent, "tgid": tgid, "program": program, "arguments": arguments,
                "first": first + start, "last": first + end, "strange": strange, "flags": list(flags)}
    return [process("101-1", None, 101, "/usr/sbin/lighttpd", "lighttpd -D", -5, 14, False),
            process("140-2", "101-1", 140, "/usr/bin/dash", "/bin/sh /var/www/ping.cgi", 0, 14, True),
            process("142-3", "140-2", 142, "/usr/bin/cat", "cat /etc/shadow", 2, 2.2, True),
            process("143-4", "140-2", 143, "/tmp/.x1", "/tmp/.x1 " + EVIL, 5, 14, True, ["not from image"])]


def sequences(first):
    calls = [call("read", context=True), call("openat", "3", "read /var/www/ping.cgi", meaning="opens a file"),
             call("brk"), call("brk"),
             call("dup2", "1", None, False, True, "makes one file number stand for another"),
             call("execve", "ok", "exec /tmp/.x1", False, True, "replaces the process with another program"),
             call("openat", "ENOENT", "read /etc/ld.so.preload", meaning="opens a file")]
    return [{"time": first + 0.2, "process": "140-2", "program": "/usr/bin/dash", "detector": "ngram",
             "value": 14.2, "key": "1b2c3d4e5f607182",
             "sentence": "dash redirected its input and started a program where it normally reads its script.",
             "calls": calls, "expected": [{"name": "read", "share": 0.71}, {"name": "close", "share": 0.2}]}]


def novelties(first):
    def novelty(kind, after, program, text, sentence, key):
        return {"kind": kind, "time": first + after, "program": program, "text": text, "sentence": sentence,
                "process": "142-3", "count": 1, "key": key}
    return [novelty("program", 0.4, "/usr/bin/dash", "/usr/bin/cat", "dash ran cat for the first time.",
                    "00000000000000d1"),
            novelty("argument", 2.0, "/usr/bin/cat", "read /etc/shadow",
                    "cat read /etc/shadow; nothing in this workload ever read credentials.", "9f3a77c012aa4b01"),
            novelty("errno", 2.1, "/usr/bin/cat", "openat EACCES " + EVIL, "openat was refused.", "00000000000000d2")]


def channel(name, peak, share):
    return {"channel": name, "peak": peak, "threshold": 1.0, "share": share, "over": peak >= 1}


def alert(now, number, score, headline, workload, member, name, age=60, **more):
    first = now - age
    body = {"state": "new", "verdict": None, "score": score, "provisional": False, "phase": "steady", "held": False,
            "open": age < 300, "first": first, "last": first + 14, "raised": first + 0.31, "latency_s": 0.31,
            "workload": workload,
            "container": {"key": container_key(member), "id": "11" * 32, "name": name, "image": "httpd:1.2",
                          "namespace": "shop", "pod": "pod-7d9f", "node": "node-1"},
            "headline": headline,
            "why": ["cat read /etc/shadow, a file of credentials that this workload never touched.",
                    "/tmp/.x1 is not part of the image."],
            "channels": [channel("novelty", 6.0, 0.7), channel("sequence", 1.8, 0.3), channel("frequency", 0.2, 0.0)],
            "detectors": [{"name": "novelty", "share": 0.7}, {"name": "ngram", "share": 0.3}],
            "processes": processes(first), "sequences": sequences(first), "novelties": novelties(first),
            "keys": ["9f3a77c012aa4b01", "1b2c3d4e5f607182"], "replicas": 1, "repeats": 0,
            "linked": None, "profile_version": 7, "calls": 412, "history": []}
    body.update(more)
    return document("alert", f"{number:016x}", first, body)


def live(now):
    return samples.live(now, calls_per_s=12845, started=now - 7200, rates=[
        {"time": int(now) - 300 + i, "calls": 12000 + 37 * (i * 7919 % 101)} for i in range(300)])


def ledger(now, number, seen):
    return document("ledger", container_key(number), now,
                    {"seen": seen, "stored": seen, "dropped": {}})


def bins(now, seconds=120):
    for i in range(seconds):
        time = int(now) - seconds + i
        yield {"bin": {"capture": CAPTURE, "container": 1, "time": time, "counts": [
            ["00000000000000a1", 0, 900 + i, 40], ["00000000000000a1", 1, 500, 0], ["00000000000000a2", 59, 2, 1]]}}
    for i, value in ((10, 0.7), (70, 0.9), (110, 6.0)):
        yield {"score": {"capture": CAPTURE, "container": 1, "time": int(now) - seconds + i, "channel": 0,
                         "value": value, "threshold": 1.0,
                         "evidence": f"httpd called vfork{EVIL}: it never did in 2 hours of learning"}}
        yield {"score": {"capture": CAPTURE, "container": 1, "time": int(now) - seconds + i, "channel": 1,
                         "value": 0.5 + value / 5, "threshold": 1.0}}


def everything(now):
    for key, text in PROGRAMS.items():
        yield document("text", key, now, {"kind": "program", "access": "", "text": text})
    yield container(now, 1, "httpd", WEB, "httpd:1.2")
    yield container(now, 2, "redis", REDIS, "redis:7.2")
    yield container(now, 3, EVIL, "evil/" + EVIL, "evil:latest")
    yield container(now, 4, "coredns", "kube-system/coredns", "coredns:1", wanted=False,
                    reason="left out by the configuration")
    yield profile(now, WEB, "ready", 1.0, "Ready: nothing new for 31 minutes.")
    yield profile(now, REDIS, "learning", 0.4, "Learning: 6 of 15 active minutes.")
    yield profile(now, "evil/" + EVIL, "drifting", 1.0, "Drifting: " + EVIL)
    yield alert(now, 1, 94, HEADLINE, WEB, 1, "httpd")
    yield alert(now, 2, 71, "redis-server ran a program that is not part of its image", REDIS, 2, "redis", age=900,
                provisional=True, replicas=3)
    yield alert(now, 3, 58, EVIL + " opened a file of keys", "evil/" + EVIL, 3, EVIL, age=5000, repeats=12)
    yield alert(now, 4, 55, "httpd wrote below /etc while it started", WEB, 1, "httpd", age=300, held=True,
                phase="startup")
    for p in processes(now - 60):
        body = {key: p[key] for key in ("tgid", "program", "arguments", "first", "last")}
        if p["tgid"] == 101:  # it still runs
            del body["last"]
        body |= {"parent": f"{CAPTURE}-{p['parent'] or '1-1'}", "parent_tgid": 1, "container": container_key(1),
                 "flags": 4 if p["flags"] else 0}  # bits: PROGRAM_NOT_FROM_IMAGE
        yield document("process", f"{CAPTURE}-{p['id']}", now, body)
    for number in (1, 2, 3):
        yield ledger(now, number, 31097252 * number)
    yield document("blind", f"{CAPTURE}-1", now - 3000,
                   {"from": now - 3000, "until": now - 2988, "reason": "the agent was restarted"})
    yield live(now)
    yield from bins(now)
