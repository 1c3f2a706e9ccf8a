#!/usr/bin/env python3
"""What a real `vigia up` does when its surroundings are bad: a full disk, damaged files, a locked
database, a second one beside it, an end in the middle of work. A container works all the while;
after each case the ledger is balanced and what was stored was stored once."""
import contextlib
import os
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

import vigia

WORK = "while :; do ls / >/dev/null; cat /etc/passwd >/dev/null; sleep 0.05; done"
SHELL = ["/bin/dash", "/bin/ls", "/bin/cat", "/bin/sleep"]
DISK_MIB = 24


# ---- what the cases share ----

def watch(more="", **where):
    """Watches this test's container only: what else runs here may not decide what fits a ring."""
    return vigia.Vigia(f'containers: {{names: ["vigia-test-bad-*"]}}\n{more}', **where)


def database(v, write=False):
    return contextlib.closing(sqlite3.connect(v.data + "/vigia.db", timeout=20, isolation_level=None)
                              if write else
                              sqlite3.connect(f"file:{v.data}/vigia.db?mode=ro", uri=True))


def value(v, sql):
    with database(v) as d:
        return d.execute(sql).fetchone()[0]


def check(v, dropped=(), blind=False):
    """After an orderly end: all that was seen is stored, once, or dropped for one of the reasons."""
    ledger = v.run("ledger")
    print("  ", {k: ledger[k] for k in ("seen", "stored", "in_flight", "dropped", "blind", "degraded")})
    assert ledger["balanced"] and ledger["in_flight"] == 0, ledger
    assert set(ledger["dropped"]) <= set(dropped), ledger["dropped"]
    assert blind or not ledger["blind"], ledger["blind"]
    assert value(v, "SELECT coalesce(sum(calls), 0) FROM bins") == ledger["stored"] > 0
    return ledger


def segments(v):
    return sorted(pathlib.Path(v.data, "spool").glob("*.vgr"))


def blocks(v):
    """Segment, offset, size and sequence number of each block (docs/FORMAT.md)."""
    found = []
    for path in segments(v):
        data, at = path.read_bytes(), 0
        while at < len(data):
            assert data[at:at + 8] == b"VIGIABLK", (path, at)
            size, = struct.unpack_from("<Q", data, at + 16)
            found.append((path, at, size, struct.unpack_from("<Q", data, at + 48)[0]))
            at += size
    return found


def span(block):
    """When it begins and ends, in ns."""
    path, at, *_ = block
    return struct.unpack_from("<QQ", path.read_bytes(), at + 64)


def calls_seen(block):
    path, at, *_ = block
    return struct.unpack_from("<Q", path.read_bytes(), at + 96)[0]


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0xff]))


def waiting(v):
    """Kills Vigia while the store lags behind; the blocks that the store does not have."""
    def last():
        return value(v, "SELECT max(sequence) FROM spools")
    vigia.wait_for("a commit", last)
    with locked(v):
        acknowledged = last()
        vigia.wait_for("blocks that wait", lambda: blocks(v)[-1][3] > acknowledged + 10)
        v.kill()
    return [b for b in blocks(v) if b[3] > acknowledged]


def refused(v, *words, arguments=()):
    """`vigia up` does not start, and says why and what to do."""
    done = subprocess.run([vigia.BINARY, "up", "--config", v.config, *arguments], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 2, (done.returncode, done.stderr)
    for word in words:
        assert word in done.stderr, (word, done.stderr)
    assert "Vigia watches" not in done.stdout
    print("   refused:", done.stderr.strip().splitlines()[-1])


@contextlib.contextmanager
def locked(v):
    """Another process holds the database; nothing can be written."""
    with database(v, write=True) as d:
        d.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            d.execute("ROLLBACK")


# ---- the cases ----

class Filler:
    """Takes whatever room is left on a disk, again and again."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "filler")
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.fd is not None:
            self.free()

    def fill(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for size in (1 << 20, 4096):
                with contextlib.suppress(OSError):
                    while os.write(self.fd, b"x" * size) > 0:
                        pass
            time.sleep(0.1)

    def free(self):
        os.close(self.fd)
        os.unlink(self.path)
        self.fd = None


def full_disk():
    disk = tempfile.mkdtemp(prefix="vigia-e2e-disk-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", disk], check=True)
    try:
        with watch("spool: {size_max_mib: 8, segment_mib: 1}\n", parent=disk) as v, \
                Filler(disk) as filler:
            v.start()
            time.sleep(2)
            filler.fill(7)
            with contextlib.suppress(AssertionError):  # is asked below
                vigia.wait_for("less", lambda: filler.fill(1) or '"full" to "bins only"' in v.log())
            assert v.process.poll() is None, v.log()
            status, _ = v.request("GET", "/healthz")
            assert status in (200, 503), status
            assert "cannot write: No space left on device" in v.log(), v.log()
            assert 'level "full" to "bins only": the spool cannot be written' in v.log(), v.log()
            filler.free()
            vigia.wait_for("recovery", lambda: '"bins only" to "full"' in v.log(), 15)
            assert "writing again" in v.log()
            time.sleep(2)
            assert v.request("GET", "/healthz")[0] == 200
            assert v.log().count(" error ") < 10, "a disk that stays full fills the log too"
            assert v.stop() == 0
            check(v)
    finally:
        subprocess.run(["umount", disk], check=True)
        os.rmdir(disk)


def metrics(v):
    with urllib.request.urlopen(f"http://127.0.0.1:{v.port}/metrics", timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}


def locked_database():
    with watch() as v:
        v.start()
        time.sleep(1)
        with locked(v):
            time.sleep(6)
            waiting = v.run("ledger")
            assert waiting["balanced"] and waiting["in_flight"] > 0, waiting
            shown = metrics(v)  # a moment later, and nothing is stored meanwhile
            assert shown["vigia_calls_in_flight"] >= waiting["in_flight"], (shown, waiting)
            assert shown["vigia_calls_stored_total"] == waiting["stored"] and shown["vigia_ledger_balanced"] == 1
            assert v.request("GET", "/healthz")[0] in (200, 503)
            vigia.wait_for("the complaint", lambda: "blocks wait in the spool" in v.log())
        vigia.wait_for("the commits", lambda: "accepts commits again" in v.log())
        assert v.stop() == 0
        check(v)


def corrupt_blocks():
    """One with damaged contents: its calls are known from the header. One with a damaged header, of
    which there is a copy: nothing is lost. One without either: a blind interval."""
    with watch() as v:
        v.start()
        time.sleep(1)
        behind = waiting(v)
        assert len(behind) >= 8, behind
        before = v.run("ledger")
        path, at, size, _ = victim = next(b for b in behind[:4] if calls_seen(b))
        seen = calls_seen(victim)
        flip(path, at + size // 2)
        flip(behind[4][0], behind[4][1] + 48)
        ledger = v.run("ledger")
        assert ledger["balanced"] and not ledger["blind"], ledger
        # the damaged one's ledger may be whole, or not: what the kernel saw is known in both cases
        assert 0 < ledger["dropped"]["corrupt block"] <= seen, (seen, ledger)
        assert ledger["seen"] == before["seen"] > 0, (ledger, before)
        lost = ledger["dropped"]["corrupt block"]
        path, at, size, _ = behind[6]
        hidden = calls_seen(behind[6])
        around_s = (span(behind[7])[1] - span(behind[5])[0]) / 1e9
        flip(path, at + 48)
        flip(path, at + size - 48)
        place = f"{size} unreadable bytes at {at} of segment {int(path.stem)} "
        ledger = v.run("ledger")
        assert ledger["balanced"] and ledger["seen"] == before["seen"] - hidden, (ledger, hidden)
        assert place in ledger["blind"][0]["reason"], ledger["blind"]
        v.start()
        time.sleep(1)
        assert v.stop() == 0
        ledger = check(v, dropped=["corrupt block"], blind=True)
        assert ledger["dropped"] == {"corrupt block": lost}, ledger
        assert len(ledger["blind"]) == 1 and place in ledger["blind"][0]["reason"], ledger["blind"]
        assert 0 < ledger["blind"][0]["until"] - ledger["blind"][0]["from"] < around_s, ledger["blind"]
        assert len(ledger["corrupt"]) == 2, ledger["corrupt"]
        for entry in ledger["corrupt"]:
            print("  ", entry["reason"])
            assert os.path.getsize(entry["file"] + ".vgr") > 0, entry
        assert v.log().count("skipped a corrupt block") == 2, v.log()
        assert f"the header of the block at {behind[4][1]} of {behind[4][0].name} is damaged" in v.log(), v.log()


def torn_tail():
    """Of a block that the store does not have, and then of one that it has."""
    with watch() as v:
        v.start()
        time.sleep(1)
        waiting(v)
        path = segments(v)[-1]
        os.truncate(path, path.stat().st_size - 7)
        v.start()
        time.sleep(1)
        assert "torn bytes off the end" in v.log(), v.log()
        assert v.stop() == 0
        check(v)
        os.truncate(path, path.stat().st_size - 7)
        before = value(v, "SELECT max(sequence) FROM spools")
        v.start()
        time.sleep(2)
        assert v.log().count("torn bytes off the end") == 2
        assert v.stop() == 0
        assert check(v, blind=True)["blind"], "between the two, the capture was off"
        numbers = [b[3] for b in blocks(v)]
        assert before not in numbers and max(numbers) > before, "the number of a stored block, again"


def unusable_database():
    with watch() as v:
        v.start()
        time.sleep(0.5)
        assert v.stop() == 0
        path = pathlib.Path(v.data, "vigia.db")
        good = path.read_bytes()
        assert not os.path.exists(str(path) + "-wal")

        def tried(*words):
            bad = path.read_bytes()
            refused(v, str(path), *words)
            assert path.read_bytes() == bad, "the file was changed"
            path.write_bytes(good)

        path.write_bytes(b"not a database file" + good[19:])
        tried("damaged", "move it away")
        path.write_bytes(good[:5000])
        tried("damaged", "move")
        # Pages in the middle, as of a disk that writes elsewhere; the header is whole.
        path.write_bytes(good[:8192] + b"\xa5" * 16384 + good[24576:])
        tried("malformed", "damaged", "move")
        with database(v, write=True) as d:
            d.execute("PRAGMA user_version = 1000000")
        tried("newer vigia", "--data")
        v.start()
        assert v.stop() == 0


def second_instance():
    with watch() as v:
        v.start()
        refused(v, v.data, "another `vigia up`", "--data")
        with watch() as other:
            refused(other, str(v.port), "another port", arguments=["--port", str(v.port)])
        with watch() as other:
            text = pathlib.Path(other.config).read_text()
            pathlib.Path(other.config).write_text(text.replace("{port:", "{address: 0.0.0.0, port:"))
            refused(other, "0.0.0.0", "TLS")
        assert v.request("GET", "/healthz")[0] == 200
        assert v.stop() == 0
        v.start()  # on the same port, at once
        assert v.stop() == 0
        check(v, blind=True)


def orderly_end():
    with watch() as v:
        for _ in range(3):
            v.start("--keep-capturing")
            time.sleep(0.7)
            assert v.stop() == 0
            check(v)
            time.sleep(0.5)
        v.start()
        time.sleep(0.5)
        assert v.stop() == 0
        check(v)
        assert not os.path.exists(v.pins), "capture goes on without --keep-capturing"


def end_while_locked():
    """SIGTERM while the store cannot be written: what waits is stored at the next start."""
    with watch() as v:
        v.start()
        time.sleep(1)
        with locked(v):
            time.sleep(1)
            assert v.stop() == 0
            ledger = v.run("ledger")
            assert ledger["balanced"] and ledger["in_flight"] > 0, ledger
        v.start()
        time.sleep(1)
        assert v.stop() == 0
        check(v, blind=True)  # between the two, the capture was off


def open_directory():
    """One that others can read, with a file by the name of the first login: it says so, and nobody
    else reads what it writes."""
    with watch() as v:
        os.chmod(v.data, 0o755)
        planted = pathlib.Path(v.data, "first-login")
        planted.touch(0o666)
        planted.chmod(0o666)
        held = planted.open()
        v.start(prefix=["sh", "-c", 'umask 0; exec "$@"', "sh"])
        assert "others may look into the data directory" in v.log() and "(mode 755)" in v.log(), v.log()
        time.sleep(1)
        assert "admin " in planted.read_text() and not held.read()
        held.close()
        found = {path: path.stat().st_mode & 0o077 for path in pathlib.Path(v.data).rglob("*")}
        assert len(found) >= 6 and not any(found.values()), found
        assert v.stop() == 0
        os.chmod(v.data, 0o700)
        v.start()
        assert v.log().count("others may look") == 1
        assert v.stop() == 0


CASES = [full_disk, locked_database, corrupt_blocks, torn_tail, unusable_database, second_instance,
         orderly_end, end_while_locked, open_directory]


def main():
    wanted = sys.argv[1:]
    with vigia.Box("bad", SHELL, ["/bin/dash", "-c", WORK]):
        for case in CASES:
            if wanted and case.__name__ not in wanted:
                continue
            begin = time.monotonic()
            print(case.__name__, flush=True)
            case()
            print(f"   passed in {time.monotonic() - begin:.1f} s", flush=True)


main()
