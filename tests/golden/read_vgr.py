#!/usr/bin/env python3
"""A second reader of the block format, written from docs/FORMAT.md alone.

usage: read_vgr.py FILE        prints every field of every block, one JSON object a line

Standard library; unpacks with the module zstandard if it is there, else with the zstd command.
"""
import json
import struct
import subprocess
import sys

try:
    import zstandard
except ImportError:
    zstandard = None

M64 = (1 << 64) - 1
NAMES = {1: "block", 2: "ids", 3: "windows", 4: "calls", 5: "results", 6: "arguments", 7: "bins",
         8: "texts", 9: "processes", 10: "containers", 11: "losses", 12: "ledger", 13: "checkpoint",
         14: "threads", 15: "copy of the header"}


class Bad(Exception):
    pass


def make_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = make_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def unzstd(data, size):
    if zstandard:
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=size)
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout


class Reader:
    def __init__(self, data, ids=None):
        self.data, self.at, self.ids_list = data, 0, ids

    def bytes(self, n):
        if self.at + n > len(self.data):
            raise Bad("short")
        self.at += n
        return self.data[self.at - n:self.at]

    def byte(self):
        return self.bytes(1)[0]

    def u64(self):
        return struct.unpack("<Q", self.bytes(8))[0]

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                if value > M64:
                    raise Bad("varint")
                return value
        raise Bad("varint")

    def varints(self, n):
        return [self.varint() for _ in range(n)]

    def delta(self, base):
        z = self.varint()
        return base + (z >> 1 ^ -(z & 1)) & M64

    def string(self):
        return self.bytes(self.varint()).decode("latin-1")

    def id(self):
        k = self.varint()
        return self.ids_list[k - 1] if k else 0

    def rows(self, row):
        return [row() for _ in range(self.varint())]


def read_sections(data, count):
    sections, at = {}, 128
    for _ in range(count):
        crc, kind, packing, size, unpacked = struct.unpack_from("<IHHII", data, at)
        body = data[at + 16:at + 16 + size]
        if crc != crc32c(data[at + 4:at + 16 + size]):
            raise Bad(f"crc of section {kind}")
        if packing:
            body = unzstd(body, unpacked)
        if len(body) != unpacked or kind in sections:
            raise Bad(f"section {kind}")
        sections[kind] = body
        at += 16 + size
    if at != len(data):
        raise Bad("bytes after the last section")
    return {NAMES[k]: v for k, v in sections.items() if k in NAMES}


def read_tables(r):
    captures = [r.u64() for _ in range(r.varint())]
    cpus = r.varints(r.varint())
    processes, start = [], 0
    for _ in range(r.varint()):
        capture = captures[r.varint() if len(captures) > 1 else 0]
        container, tgid = r.varint(), r.varint()
        start = r.delta(start)
        processes.append({"capture": capture, "container": container, "tgid": tgid,
                          "start": start, "program": r.id()})
    threads = []
    for _ in range(r.varint()):
        p = processes[r.varint() if len(processes) > 1 else 0]
        threads.append({**p, "tid": r.delta(p["tgid"]), "generation": r.varint()})
    return cpus, threads


def read_windows(r):
    n = r.varint()
    cpus, threads = read_tables(r)
    thread = r.varints(n) if len(threads) > 1 else [0] * n
    state = r.varints(n)
    calls = list(r.bytes(n))
    cpu = r.varints(n) if len(cpus) > 1 else [0] * n
    windows, position = [], {}
    for i in range(n):
        position[cpu[i]] = r.delta(position.get(cpu[i], 0))
        windows.append({**threads[thread[i]], "thread": thread[i], "n": calls[i],
                        "position": cpus[cpu[i]] << 48 | position[cpu[i]],
                        "flags": state[i] >> 9, "level": state[i] >> 1 & 255,
                        "derived": state[i] & 1})
    deltas = [r.delta(0) for _ in range(n)]
    last = {}
    for i, w in enumerate(windows):
        if w["thread"] in last:
            base = last[w["thread"]]["last"]
        else:
            base = windows[i - 1]["first"] if i else 0
        w["first"] = base + deltas[i] & M64
        w["last"] = r.delta(w["first"])
        last[w["thread"]] = w
    return windows


def read_calls(sections, windows, ids):
    r = Reader(sections["calls"])
    sysnos = r.varints(r.varint())
    last, order = {}, [[] for _ in sysnos]
    for w in windows:
        if w["derived"]:
            before = last[w["thread"]]
            w["context"] = (before["context"] + before["sysno"])[-16:]
        else:
            w["context"] = [sysnos[r.varint()] for _ in range(r.byte())]
        index = r.varints(w["n"])
        w["sysno"] = [sysnos[i] for i in index]
        w["ret"], w["flag"], w["argument"] = [0] * w["n"], [0] * w["n"], [0] * w["n"]
        for k, i in enumerate(index):
            order[i].append((w, k))
        last[w["thread"]] = w
    grouped = [place for places in order for place in places]
    r = Reader(sections["results"])
    rets = r.varints(r.varint())
    for w, k in grouped:
        w["ret"][k] = rets[r.varint()]
    r = Reader(sections["arguments"], ids)
    flags = []
    while len(flags) < len(grouped):
        value, run = r.varint(), r.varint()
        flags += [value] * run
    for (w, k), value in zip(grouped, flags):
        w["flag"][k] = value >> 1
        if value & 1:
            w["argument"][k] = r.id()


def rows_block(r):
    boot, node = r.bytes(16).hex(), r.string()
    return dict(zip(("boot", "node", "mono", "wall", "level", "snapshot", "epoch", "refused_texts",
                     "refused_containers", "refused_processes"), [boot, node] + r.varints(8)))


def rows_bins(r):
    second, bins = 0, []
    for _ in range(r.varint()):
        container, second, level = r.varint(), r.delta(second), r.varint()
        m = r.varint()
        columns = [[r.id() for _ in range(m)]] + [r.varints(m) for _ in range(5)]
        bins.append({"container": container, "second": second, "level": level,
                     "counts": [list(c) for c in zip(*columns)]})
    return bins


def rows_texts(r):
    return r.rows(lambda: [r.id(), *r.varints(3), r.string()])


def rows_processes(r, time):
    rows = []
    for _ in range(r.varint()):
        time = r.delta(time)
        start = r.delta(time)
        rows.append([time, start, r.delta(start), r.id(), r.id(), *r.varints(7), r.string(),
                     r.string()])
    return rows


def rows_containers(r):
    return r.rows(lambda: r.varints(8) + [r.string() for _ in range(11)]
                  + [r.rows(lambda: [r.string(), r.string()])])


def rows_gap(r):
    first = r.varint()
    return [first, r.delta(first), *r.varints(4)]


def rows_blind(r):
    first = r.varint()
    return [first, r.delta(first), r.string()]


def rows_ledger(r):
    reasons, rows = r.varint(), []
    for _ in range(r.varint()):
        container, seen = r.varint(), r.varint()
        rows.append([container, seen, r.delta(seen), *r.varints(reasons)])
    return rows


def rows_checkpoint(r):
    return r.rows(lambda: [r.varint(), r.varint(), r.u64(), r.u64(), r.u64()])


def rows_threads(r):
    return r.rows(lambda: [r.varint(), r.id(), *r.varints(4), r.varints(r.varint())])


def read_block(data):
    major, minor, count = struct.unpack_from("<HHI", data, 8)
    size, unpacked = struct.unpack_from("<QQ", data, 16)
    if data[:8] != b"VIGIABLK" or struct.unpack_from("<I", data, 124)[0] != crc32c(data[:124]):
        raise Bad("header")
    if major > 1:
        raise Bad("newer version")
    sequence, capture, first, until, calls, flags = struct.unpack_from("<QQQQQI", data, 48)
    s = read_sections(data, count)
    if minor and (s["copy of the header"] != data[8:128] or data[-120:] != data[8:128]):
        raise Bad("copy of the header")
    ids = []
    if "ids" in s:
        r = Reader(s["ids"])
        ids = [r.u64() for _ in range(r.varint())]
    windows = read_windows(Reader(s["windows"], ids)) if "windows" in s else []
    if windows:
        read_calls(s, windows, ids)
    if sum(w["n"] for w in windows) != calls:
        raise Bad("calls")

    def rows(name, function, *more):
        return function(Reader(s[name], ids), *more) if name in s else []

    losses = Reader(s["losses"]) if "losses" in s else None
    yield {"block": {"spool": data[32:48].hex(), "sequence": sequence, "capture": capture,
                     "from": first, "until": until, "flags": flags, **rows("block", rows_block)}}
    for w in windows:
        yield {"window": {k: w[k] for k in (
            "capture", "position", "first", "last", "program", "start", "tgid", "tid",
            "generation", "container", "level", "flags", "context", "sysno", "ret", "flag",
            "argument")}}
    for name, found in (
            ("bin", rows("bins", rows_bins)), ("text", rows("texts", rows_texts)),
            ("process", rows("processes", rows_processes, first)),
            ("container", rows("containers", rows_containers)),
            ("gap", losses.rows(lambda: rows_gap(losses)) if losses else []),
            ("blind", losses.rows(lambda: rows_blind(losses)) if losses else []),
            ("ledger", rows("ledger", rows_ledger)),
            ("checkpoint", rows("checkpoint", rows_checkpoint)),
            ("thread", rows("threads", rows_threads))):
        for row in found:
            yield {name: row}


def main():
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        size = struct.unpack_from("<Q", data, at + 16)[0]
        for line in read_block(data[at:at + size]):
            print(json.dumps(line, separators=(",", ":")))
        at += size


main()
