"""The table at the end of soak.sh: attacks, false alerts, what Vigia used, the ledger.
usage: soak_report.py DIRECTORY QUIET-FROM ATTACKS-FROM (wall seconds) WORKLOAD... (how their names begin)"""
import json
import pathlib
import sys

out, quiet_from, attacks_from = pathlib.Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])


def lines(name):
    path = out / name
    return [json.loads(x) for x in path.read_text().splitlines() if x.startswith("{")] if path.exists() else []


def evidence(alert):
    for n in alert.get("novelties", [])[:5]:
        print(f"      {n['kind']}: {n['sentence']}")
    for s in alert.get("sequences", [])[:2]:
        calls = " ".join(("*" if c["strange"] else "") + (c["name"] or "?") for c in s["calls"] if not c["context"])
        print(f"      {s['detector']} {s['value']:.2f} {s['program']}: {calls[:300]}")
    print("      channels:", ", ".join(f"{c['channel']} {c['peak']:.2f}/{c['threshold']:.2f}" for c in alert.get("channels", [])))


alerts = sorted(lines("alerts.jsonl"), key=lambda a: a["raised"] if "raised" in a else a["first"])
attacks = [x.split("\t") for x in (out / "attacks.tsv").read_text().splitlines()] if (out / "attacks.tsv").exists() else []
claimed = set()
print(f"\n{'attack':52} {'alert':6} {'after':>7} {'score':>5}  headline")
for name, container, start, end, result in attacks:
    found = [a for a in alerts if a["container"]["name"] == container and a["last"] >= float(start) - 0.5]
    claimed |= {a["id"] for a in found}
    if result != "done":
        name += f" ({result})"
    if not found:
        print(f"{name:52} {'none':6}")
    for a in found[:3]:
        word = "held" if a["held"] else "earlier" if a["first"] < float(start) - 0.5 else "sent"
        print(f"{name:52} {word:6} {a.get('raised', a['first']) - float(start):6.1f}s {a['score']:5.0f}  {a['headline']}")
        evidence(a)

before = [a for a in alerts if a["id"] not in claimed or a["first"] < attacks_from]
false = [a for a in before if not a["held"]]
print(f"\nalerts that no attack made: {len(false)} sent, {len(before) - len(false)} held")
for a in before:
    print(f"  {'held' if a['held'] else 'SENT'} {a['first'] - quiet_from:+.0f}s of ready, {a['phase']}, score {a['score']:.0f}"
          f" {a['container']['name']}: {a['headline']}")
    evidence(a)

use = [list(map(float, x.split())) for x in (out / "use").read_text().splitlines()]
seconds = use[-1][0] - use[0][0]
print(f"\nvigia: {use[0][1]:.0f} MiB at first, {max(u[1] for u in use):.0f} at most, {use[-1][1]:.0f} at the end; "
      f"{(use[-1][2] - use[0][2]) / seconds * 100:.1f} % of a core over {seconds / 60:.0f} minutes")
print((out / "ledger.txt").read_text().split("\n\n")[0])  # not every container
profiles = lines("profiles.jsonl")
ours = [p for p in profiles if p["workload"].startswith(tuple(sys.argv[4:]))]
for p in ours:
    print(f"  {p['workload']:24} {p['state']}: {p['reason']}; start-up {p['startup']['state']}: {p['startup']['reason']};"
          f" thresholds {p['thresholds']}")
ready = ours and all(p["steady"]["state"] != "learning" for p in ours)
sys.exit(0 if ready and not false else 1)
