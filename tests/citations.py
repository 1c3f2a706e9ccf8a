#!/usr/bin/env python3
"""What comments and pages cite is there: a page of docs/, and the heading named behind it."""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
pages = {p.name: re.findall(r"^#+ (.*)$", p.read_text(), re.M) for p in (root / "docs").glob("*.md")}
wrong = checked = 0
for folder in ("src", "bpf", "tests", "bench", "docs"):
    for path in sorted((root / folder).rglob("*")):
        if path.suffix not in (".c", ".h", ".py", ".sh", ".data", ".def", ".md"):
            continue
        text = re.sub(r"\n *[*#] ", " ", path.read_text(errors="replace"))
        for found in re.finditer(r'\b(docs/)?([A-Z]{3,}\.md)\b(?:, "([^"]+)")?', text):
            there, page, heading = found.groups()
            checked += 1
            if page in pages and (there or folder == "docs") and (not heading or heading in pages[page]):
                continue
            print(f"{path.relative_to(root)}: {found[0]} is not there")
            wrong += 1
print(f"{checked} citations, {wrong} of what is not there")
sys.exit(1 if wrong or not checked else 0)
