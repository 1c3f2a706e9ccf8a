#!/usr/bin/env python3
"""Writes the tables that syscall.c includes, from the headers of the machine it is built on.

usage: syscalls.py ARCH EXTRA DATA OUT COMPILER...

Native numbers come from <asm/unistd.h>, on x86-64 also compat and x32 from its siblings; io_uring
operations are the members of enum io_uring_op, in order; errno names come from <errno.h>.
"""
import re
import subprocess
import sys

ABIS = {"native": 0, "compat": 1, "x32": 2, "io_uring": 3}


def preprocess(compiler, include, *flags):
    source = f"#include <{include}>\n"
    done = subprocess.run([*compiler, "-E", *flags, "-x", "c", "-"], input=source, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"syscalls.py: cannot read <{include}>: {done.stderr}")
    return done.stdout


def macros(compiler, include):
    out = preprocess(compiler, include, "-dM")
    return dict(re.findall(r"^#define (\w+) (.+)$", out, re.M))


def number(defines, text, depth=0):
    """The number that a macro stands for, or None; follows names (asm-generic uses them)."""
    text = text.replace("__X32_SYSCALL_BIT +", "").strip("() ")
    if re.fullmatch(r"\d+", text):
        return int(text)
    if depth < 8 and text in defines:
        return number(defines, defines[text], depth + 1)
    return None


def calls(compiler, include):
    defines = macros(compiler, include)
    ret = {}
    for name, text in defines.items():
        # arm64's __NR_syscalls and __NR_arch_specific_syscall are bounds, not calls
        if name.startswith("__NR_") and name not in ("__NR_syscalls", "__NR_arch_specific_syscall"):
            n = number(defines, text)
            if n is not None and n < 1023:
                ret[n] = name[len("__NR_"):]
    return ret


def operations(compiler):
    out = preprocess(compiler, "linux/io_uring.h")
    body = re.search(r"enum io_uring_op \{(.*?)\}", out, re.S).group(1)
    names = re.findall(r"IORING_OP_(\w+)", body)
    return {n: name for n, name in enumerate(names) if name != "LAST"}


def lines(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                yield line.rstrip("\n")


def tables(arch, extra, compiler):
    ret = {"native": calls(compiler, "asm/unistd.h"), "compat": {}, "x32": {},
           "io_uring": operations(compiler)}
    if arch == "x86_64":
        ret["compat"] = calls(compiler, "asm/unistd_32.h")
        ret["x32"] = calls(compiler, "asm/unistd_x32.h")
    for line in lines(extra):
        abi, n, name = line.split()
        if abi == "all":
            which = [a for a in ("native", "compat", "x32") if ret[a]]
        elif abi in ret:
            which = [abi]
        else:
            which = ["native"] if abi == f"native-{arch}" else []
        for a in which:
            ret[a].setdefault(int(n), name)
    return ret


def main():
    arch, extra, data, out, *compiler = sys.argv[1:]
    about = {}
    for line in lines(data):
        name, kind, meaning = line.split(" ", 2)
        if name in about:
            sys.exit(f"{data}: {name} stands there twice")
        about[name] = (kind, meaning)
    named, meanings, flags = {}, {}, {}
    for abi, table in tables(arch, extra, compiler).items():
        for n, name in table.items():
            sysno = ABIS[abi] << 10 | n
            named[sysno] = name if abi == "native" else f"{abi}:{name}"
            kind, meaning = about.get(name.lower(), ("-", None))
            if meaning:
                meanings[sysno] = meaning
            if abi != "io_uring":  # submitting a request neither waits nor is it noise
                flags[sysno] = ("w" in kind) | ("n" in kind) << 1
    errors = {number({}, text): name for name, text in sorted(macros(compiler, "errno.h").items())
              if re.fullmatch(r"E[A-Z0-9]+", name) and number({}, text) is not None}
    with open(out, "w", encoding="utf-8") as f:
        f.write("/* Made by syscalls.py. */\n")
        f.write("static const char *const names[SYSNO_COUNT] = {\n")
        f.writelines(f'    [{n}] = "{named[n]}",\n' for n in sorted(named))
        f.write("};\nstatic const uint16_t by_name[] = {\n")
        f.writelines(f"    {n},\n" for n in sorted(named, key=lambda n: named[n].encode()))
        f.write("};\nstatic const char *const meanings[SYSNO_COUNT] = {\n")
        f.writelines(f'    [{n}] = "{meanings[n]}",\n' for n in sorted(meanings))
        f.write("};\nstatic const uint8_t classes[SYSNO_COUNT] = {\n")
        f.writelines(f"    [{n}] = {flags[n]},\n" for n in sorted(flags) if flags[n])
        f.write("};\nstatic const char *const errors[ERRNO_COUNT] = {\n")
        f.writelines(f'    [{n}] = "{errors[n]}",\n' for n in sorted(errors))
        f.write("};\n")


main()
