#!/usr/bin/env python3
"""docs/ADDING.md is true: the detector that it shows has under twenty lines, compiles, learns and alarms.

usage: adding.py SOURCE_ROOT CC LIBRARY...
"""
import pathlib
import re
import subprocess
import sys
import tempfile

root, cc, libraries = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
page = (root / "docs/ADDING.md").read_text()
blocks = dict(re.findall(r"<!-- (\S+) -->\n+```c\n(.*?)```", page, re.S))
code, test = blocks["src/detect/failures.c"], blocks["tests/detect/test_failures.c"]
lines = [line for line in code.splitlines() if line.strip()]
if len(lines) >= 20:
    sys.exit(f"docs/ADDING.md: the detector has {len(lines)} lines, not under twenty")

with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    (folder / "failures.c").write_text(code)
    (folder / "test_failures.c").write_text(test)
    program = folder / "test_failures"
    subprocess.run([cc, "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-I", root / "src", "-I",
                    root / "tests", folder / "failures.c", folder / "test_failures.c", "-o", program, *libraries,
                    "-lcmocka", "-lm"], check=True)
    subprocess.run([program], check=True)
print(f"the detector of docs/ADDING.md: {len(lines)} lines, compiled and tested")
