#!/usr/bin/env python3
"""The manual page and the completion know every command and flag of the binary.

test_manual.py VIGIA PAGE COMPLETION"""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
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
    line = " ".join([binary, *words]).replace(" = ", "=")
    script = ("source %s; COMP_LINE=$1 COMP_POINT=${#1}; shift; COMP_WORDS=(\"$@\");"
              " COMP_CWORD=$(($# - 1)); _vigia \"$1\" \"${COMP_WORDS[-1]#=}\";"
              " printf '%%s\\n' \"${COMPREPLY[@]}\"" % COMPLETION)
    out = subprocess.run(["bash", "-c", script, "bash", line, binary, *words], capture_output=True,
                         text=True, timeout=60)
    assert out.stderr == "", out.stderr
    return [line for line in out.stdout.split("\n") if line]


class Terminal:
    """bash on a terminal in a directory, with the completion; a `vigia` of the test comes first."""

    def __init__(self, directory):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {
                "PATH": directory + ":" + os.environ["PATH"], "TERM": "dumb", "PS1": "prompt> ",
                "INPUTRC": "/dev/null", "HISTFILE": "", "LC_ALL": "C.UTF-8"})
        self.type(f"bind 'set bell-style none'; source {COMPLETION}; echo re''ady\n", "ready")

    def type(self, keys, until):
        os.write(self.fd, keys.encode())
        shown, end = "", time.monotonic() + 30
        while until not in shown:
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], shown
            shown += os.read(self.fd, 4096).decode()
        return shown

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


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
        """A container may be called anything: nothing of its name is run, and what readline puts on
        the line is the name again."""
        names = ["b`touch ran`", "d$(touch ran);x", "q shop's \"web\"", "registry/web:1#ab",
                 "registry/web:2&c", "s\\$HOME"]
        with tempfile.TemporaryDirectory() as d:
            os.mkdir(d + "/my data")
            with open(d + "/list", "w", encoding="utf-8") as f:
                for name in names:
                    f.write(json.dumps({"workload": name}, separators=(",", ":")) + "\n")
            with open(d + "/vigia", "w", encoding="utf-8") as f:
                f.write("#!/bin/bash\ncase $* in *--help*) exec %s \"$@\" ;; *--json) printf '<%%s>' \"$@\" "
                        ">asked; cat list ;; *) printf '%%s\\0' \"$@\" >given; echo do''ne ;; esac\n" % VIGIA)
            os.chmod(d + "/vigia", 0o755)
            terminal = Terminal(d)

            def line(keys):
                """What a command is given when the keys and Enter were pressed."""
                terminal.type(keys + "\n", "done")
                return read(d + "/given").split("\0")[:-1]

            for typed, name in [("b", names[0]), ("d", names[1]), ("q", names[2]),
                                ("q\\ shop\\'s", names[2]), ("reg\t1", names[3]),
                                ("registry/web:2", names[4]), ("s", names[5])]:
                with self.subTest(name=name):
                    self.assertEqual(line(f"vigia profiles --retire {typed}\t"),
                                     ["profiles", "--retire", name])
                    self.assertEqual(line(f"vigia profiles --retire={typed}\t"),
                                     ["profiles", "--retire=" + name])
            terminal.type("vigia profiles --retire \t\t", "touch")
            terminal.type("\x15", "")
            for data in ("--data 'my data'", "--data=my\\ data", "-d \"my data\"", "--data my\t"):
                with self.subTest(data=data):
                    given = line(f"vigia profiles {data} --retire b\t")
                    self.assertEqual(given[-2:], ["--retire", names[0]])
                    self.assertIn("my data", read(d + "/asked"))
            self.assertEqual(line("vigia replay my\t"), ["replay", "my data/"])
            terminal.close()
            self.assertFalse(os.path.exists(d + "/ran"))


if __name__ == "__main__":
    if not shutil.which("mandoc"):
        sys.exit("mandoc is missing: scripts/install --test")
    unittest.main(argv=sys.argv[:1], verbosity=1)
