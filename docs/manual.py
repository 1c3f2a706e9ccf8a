#!/usr/bin/env python3
"""Make the manual page: manual.py VIGIA TEMPLATE > vigia.1

Commands and options are taken from what `vigia --help` and `vigia COMMAND --help` say, so that the
page has all of them. mandoc -Tlint finds nothing in it (tests/cli/test_manual.py)."""
import os
import re
import subprocess
import sys
import textwrap

OPTION = re.compile(r"^ {1,6}(?:(-\S), )?(?:(--[a-z][a-z-]*)(?:=(\S+))?)? {2,}(\S.*)$")


def run(*command):
    # argp wraps lines to a terminal; here one line is one paragraph or option.
    env = dict(os.environ, ARGP_HELP_FMT="rmargin=5000,no-dup-args-note,opt-doc-col=40")
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def commands(vigia):
    """[(name, summary)] in the order of the help."""
    return re.findall(r"^  ([a-z][a-z-]*) {2,}(\S.*)$", run(vigia, "--help"), re.M)


def text_line(line):
    line = line.replace("\\", "\\e")
    return "\\&" + line if line[:1] in ".'" else line


def text_lines(paragraph):
    return [text_line(line) for line in textwrap.wrap(paragraph, 76, break_long_words=False,
                                                      break_on_hyphens=False)]


def argument(word):
    """A word on a macro line: never taken for a macro."""
    return "\\&" + word.replace("\\", "\\e")


def option(short, long, value, text):
    names = []
    if short:
        names.append("Fl " + argument(short[1:]))
    if long:
        names.append("Fl " + argument(long[1:]) +
                     (" Ns = Ns Ar " + argument(value) if value else ""))
    return "\n".join([".It " + " , ".join(names)] + text_lines(text))


def split_help(text):
    """usage, text before, [(group, option...)], text after."""
    lines = text.rstrip("\n").split("\n")
    usage = lines[0]
    options, before, after, group = [], [], [], ""
    for line in lines[1:]:
        found = OPTION.match(line)
        if found and (found[1] or found[2]):
            options.append((group, found[1], found[2], found[3], found[4]))
        elif re.match(r"^ [A-Z][a-z ]+:$", line):
            group = line.strip(" :")
        elif options and line.startswith(" " * 20) and line.strip():
            options[-1] = options[-1][:4] + ((options[-1][4] + " " + line.strip()).strip(),)
        else:
            (after if options else before).append(line)
    return usage, before, options, after


def paragraphs(lines):
    """mdoc of plain text: indented lines are examples and lists, kept as they are."""
    out, literal = [], False
    for line in lines:
        indented = line.startswith("  ")
        if indented != literal:
            if indented and out and out[-1] == ".Pp":
                out.pop()
            out.append(".Bd -literal -offset indent" if indented else ".Ed")
            literal = indented
        if indented:
            out.append(text_line(line.strip() if not line.startswith("   ") else line[2:]))
        elif line.strip():
            for sentence in re.split(r"(?<=[a-z0-9)][.;:]) (?=[A-Z])", line.strip()):
                out += text_lines(sentence)
        elif out and out[-1] not in (".Pp", ".Ed"):
            out.append(".Pp")
        elif out and out[-1] == ".Ed":
            out.append(".Pp")
    if literal:
        out.append(".Ed")
    while out and out[-1] == ".Pp":
        out.pop()
    return out


def one_command(vigia, words, summary):
    usage, before, options, after = split_help(run(vigia, *words, "--help"))
    own = [o[1:] for o in options if o[0] != "Common options" and o[2] not in ("--help", "--usage")]
    out = [".Ss vigia " + " ".join(words)]
    out += [".Bd -literal -offset indent", text_line(re.sub(r"^Usage: ", "", usage)), ".Ed", ".Pp"]
    out += paragraphs(before) or text_lines(summary[0].upper() + summary[1:] + ".")
    if own:
        out += [".Bl -tag -width Ds"] + [option(*o) for o in own] + [".El"]
    rest = paragraphs(after)
    if rest and not rest[0].startswith(".") and not own:
        out.append(".Pp")
    elif rest and own and not rest[0].startswith("."):
        out.append(".Pp")
    out += rest[1:] if rest and rest[0] == ".Pp" and not own else rest
    if not options:  # a family: each member has a help of its own
        for name, text in re.findall(r"^  ([a-z][a-z-]*) {2,}(\S.*)$", "\n".join(before), re.M):
            out += one_command(vigia, words + [name], text)
    return out


def common(vigia):
    _, _, options, _ = split_help(run(vigia, "ledger", "--help"))
    return [option(*o[1:]) for o in options]


def main():
    vigia, template = sys.argv[1:3]
    out = []
    for name, summary in commands(vigia):
        out += one_command(vigia, [name], summary)
    page = open(template, encoding="utf-8").read()
    date = os.environ.get("SOURCE_DATE", "November 23, 2026")
    page = re.sub(r'^\.\\".*\n', '.\\\\" Made by docs/manual.py from vigia.1.in and the help.\n',
                  page, count=1)
    page = page.replace("@DATE@", date).replace("@COMMANDS@", "\n".join(out))
    print(page.replace("@COMMON@", "\n".join(common(vigia))), end="")


main()
