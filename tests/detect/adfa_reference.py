#!/usr/bin/env python3
"""`vigia eval adfa-ld` against reference scores of every trace, made by an independent program.

usage: adfa_reference.py VIGIA DATA    DATA holds adfa-ld.tar.zst (or adfa-ld/) and reference/

stide6_mean, wb8_mean, ad12w100_t30 and jac1 agree to 1e-6 on all traces. wb8_gate12_mean does on all but
30 of 2542: there the reference's gate, in a trace's first eleven calls, looks into the trace before it
(in the three that are attacks, whose predecessor is at hand, feeding our gate with it gives the reference's
score; docs/DETECTORS.md), so it takes more for seen, and scores lower.
"""
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

SKIP = 77
GATE_DIFFERENT_MAX = 30
vigia, data = sys.argv[1], pathlib.Path(os.environ.get("VIGIA_DATASETS", sys.argv[2]))
reference = data / "reference/adfa-ld-reference-scores.csv"
if not reference.exists():
    print(f"SKIP: no {reference}; VIGIA_DATASETS=DIR names the folder of the data sets")
    sys.exit(SKIP)

with tempfile.TemporaryDirectory() as scratch:
    traces = data / "adfa-ld"
    if not traces.is_dir():
        subprocess.run(["tar", "--zstd", "-xf", data / "adfa-ld.tar.zst", "-C", scratch], check=True)
        traces = pathlib.Path(scratch) / "adfa-ld"
    scores = pathlib.Path(scratch) / "scores.csv"
    subprocess.run([vigia, "eval", "adfa-ld", traces, "--scores", scores], check=True,
                   stdout=subprocess.DEVNULL)
    ours = {r["name"]: r for r in csv.DictReader(scores.open())}
theirs = {r["name"]: r for r in csv.DictReader(reference.open())}

failed = set(ours) != set(theirs)
print(f"{len(ours)} traces scored, {len(theirs)} in the reference")
for column in ("stide6_mean", "wb8_mean", "wb8_gate12_mean", "ad12w100_t30", "jac1"):
    gaps = [float(ours[n][column]) - float(theirs[n][column]) for n in ours if n in theirs]
    apart = [g for g in gaps if abs(g) > 1e-6]
    print(f"{column}: {len(apart)} of {len(gaps)} differ, by {max(map(abs, gaps)):.2g} at most")
    allowed = GATE_DIFFERENT_MAX if column == "wb8_gate12_mean" else 0
    failed |= len(apart) > allowed or any(g < 0 for g in apart)
sys.exit(1 if failed else 0)
