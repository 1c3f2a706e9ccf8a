#!/usr/bin/env python3
"""The manual page and the completion know every command and flag of the binary.

test_manual.py VIGIA PAGE COMPLETION"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

VIGIA, PAGE, COMPLETION = (os.path.abspath(p) for p in sys.argv[1:4])
EVERYWHERE = {"--help", "--usage", "--config", "--data", "--json", "--verbose"}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def run(*command):
    env = dict(os.environ, ARGP_HELP_FMT="rmargin=5000,no-dup-args-note")
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def names(text):
    return re.findall(r"^  ([a-z][a-z-]*) {2,}\S", text, re.M)


def flags(text):
    return set(re.findall(r"^ +(?:-\S, )?(--[a-z][a-z-]*)", text, re.M))


def commands():
    """Words of every command, those of a family (eval adfa-ld) too."""
    for name in names(run(VIGIA, "--help")):
        text = run(VIGIA, name, "--help")
        yield [name], text
        if not flags(text):
            for member in names(text):
                yield [name, member], run(VIGIA, name, member, "--help")


def complete(words, binary=VIGIA):
    """What is offered for the last of the words, as bash splits them."""
    script = ("source %s; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _vigia;"
              " printf '%%s\\n' \"${COMPREPLY[@]}\"" % COMPLETION)
    out = subprocess.run(["bash", "-c", script, "bash", binary, *words], capture_output=True,
                         text=True, timeout=60)
    assert out.stderr == "", out.stderr
    return [line for line in out.stdout.split("\n") if line]


class Manual(unittest.TestCase):
    def test_mandoc_finds_nothing(self):
        out = subprocess.run(["mandoc", "-Tlint", PAGE], capture_output=True, text=True)
        lines = [l for l in (out.stdout + out.stderr).split("\n") if l and "mandoc.db" not in l]
        self.assertEqual(lines, [])

    def test_every_command_and_flag_is_there(self):
        page = read(PAGE)
        sections = re.split(r"^\.S[sh] ", page, flags=re.M)
        found = 0
        for words, text in commands():
            with self.subTest(command=" ".join(words)):
                section = [s for s in sections if s.startswith("vigia " + " ".join(words) + "\n")]
                self.assertEqual(len(section), 1)
                for flag in flags(text) - EVERYWHERE:
                    self.assertIn(r"Fl \&" + flag[1:], section[0])
                    found += 1
        self.assertGreater(found, 10)
        for flag in EVERYWHERE:
            self.assertIn(r"Fl \&" + flag[1:], page)


class Completion(unittest.TestCase):
    def test_commands(self):
        offered = complete([""])
        self.assertLessEqual(set(names(run(VIGIA, "--help"))), set(offered))
        self.assertEqual(complete(["ledg"]), ["ledger"])

    def test_every_flag(self):
        for words, text in commands():
            with self.subTest(command=" ".join(words)):
                self.assertEqual(set(complete(words + ["--"])), flags(text))

    def test_values(self):
        self.assertEqual(complete(["alerts", "--state", ""]), ["new", "acknowledged", "closed"])
        self.assertEqual(complete(["alerts", "--state", "=", "cl"]), ["closed"])
        self.assertEqual(complete(["alerts", "--verdict", "e"]), ["expected"])
        self.assertEqual(complete(["config", ""]), ["check", "show", "schema"])
        self.assertIn("adfa-ld", complete(["eval", ""]))

    def test_names_of_workloads_are_data(self):
        """A container may be called anything: nothing of its name is run."""
        with tempfile.TemporaryDirectory() as d:
            evil = "$(touch %s/ran)`touch %s/ran`;x" % (d, d)
            fake = os.path.join(d, "vigia")
            with open(os.path.join(d, "list"), "w", encoding="utf-8") as f:
                f.write(json.dumps({"workload": evil}, separators=(",", ":")) + "\n")
                f.write(json.dumps({"workload": "shop/web"}, separators=(",", ":")) + "\n")
            with open(fake, "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\necho \"$@\" > %s/called\ncat %s/list\n" % (d, d))
            os.chmod(fake, 0o755)
            offered = complete(["profiles", "--data", "/x y", "--retire", ""], fake)
            self.assertEqual(offered[1], "shop/web")
            self.assertEqual(subprocess.run(["bash", "-c", "printf %s " + offered[0]], check=True,
                                            capture_output=True, text=True).stdout, evil)
            self.assertFalse(os.path.exists(os.path.join(d, "ran")))
            self.assertEqual(read(os.path.join(d, "called")), "profiles --data /x y --json\n")


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        sys.exit("mandoc is missing: scripts/install --test")
    unittest.main(argv=sys.argv[:1], verbosity=1)
