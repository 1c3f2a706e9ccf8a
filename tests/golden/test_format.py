#!/usr/bin/env python3
"""The golden recording reads as golden.txt, by the C decoder and by the reader written from
docs/FORMAT.md; and the two agree on what the encoder makes today; version 1.0 is still read. (test_replay.sh:
encoded again, the golden recording has the same bytes.)

usage: test_format.py DUMP_VGR DIRECTORY        (--update writes the golden files anew)
"""
import os
import subprocess
import sys
import tempfile


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def main():
    dump, here = sys.argv[1:3]
    recording, text = os.path.join(here, "golden.vgr"), os.path.join(here, "golden.txt")
    if "--update" in sys.argv:
        run(dump, "--make", recording)
        with open(text, "wb") as f:
            f.write(run(dump, recording))
    with open(text, "rb") as f:
        want = f.read()
    failed = []
    if run(dump, recording) != want:
        failed.append("the C decoder reads the golden recording differently")
    if run(sys.executable, os.path.join(here, "read_vgr.py"), recording) != want:
        failed.append("read_vgr.py and the C decoder disagree")
    if run(dump, os.path.join(here, "golden-1.0.vgr")) != want:
        failed.append("the C decoder reads version 1.0 differently")
    with tempfile.TemporaryDirectory() as directory:
        made = os.path.join(directory, "made.vgr")
        run(dump, "--make", made)
        if run(sys.executable, os.path.join(here, "read_vgr.py"), made) != run(dump, made):
            failed.append("read_vgr.py and the C decoder disagree on what the encoder makes")
    for line in failed:
        print(line)
    sys.exit(bool(failed))


main()
