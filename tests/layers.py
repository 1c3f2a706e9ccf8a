#!/usr/bin/env python3
"""The layer rule: a file of src/<layer>/ includes only headers of the layers left of its own.

base <- event <- {capture, transport, features} <- {store, detect} <- soc <- cli
"""
import pathlib
import re
import sys

RANK = {"base": 0, "event": 1, "capture": 2, "transport": 2, "features": 2, "store": 3, "detect": 3,
        "soc": 4, "cli": 5}
root = pathlib.Path(__file__).resolve().parent.parent / "src"
wrong = checked = 0
for path in sorted(root.rglob("*.[ch]")):
    layer = path.relative_to(root).parts[0]
    if layer not in RANK:
        continue  # main.c
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#include "([a-z]+)/', line)
        if not found or found[1] not in RANK:
            continue
        checked += 1
        other = found[1]
        if other != layer and RANK[other] >= RANK[layer]:
            print(f"{path}:{number}: {layer} may not include {other}")
            wrong += 1
print(f"{checked} includes, {wrong} against the layer rule")
sys.exit(1 if wrong or not checked else 0)
