#!/usr/bin/env python3
"""Writes detect.h beside it: scores of the detectors on small made-up data, computed straight from the
formulas in docs/DETECTORS.md by code that shares nothing with src/. Run it again after changing it."""
import math
import pathlib

STATE = 12345


def pick(n):
    global STATE
    STATE = (STATE * 1103515245 + 12345) % 2**31
    return (STATE >> 16) % n


def trace(n, alphabet):
    """A loop with faults: enough structure that long contexts are known."""
    loop = [pick(alphabet) for _ in range(7)]
    return [loop[i % 7] if pick(5) else pick(alphabet) for i in range(n)]


def stide(train, test, n):
    seen = {tuple(t[i:i + n]) for t in train for i in range(len(t) - n + 1)}
    return sum(tuple(test[i:i + n]) not in seen for i in range(len(test) - n + 1)) / len(test)


BEGIN = -1


def contexts(t, i, order):
    padded = [BEGIN] * order + t[:i]
    return [tuple(padded[len(padded) - k:]) for k in range(order + 1)]


def counts(train, order):
    table = {}
    for t in train:
        for i, s in enumerate(t):
            for c in contexts(t, i, order):
                row = table.setdefault(c, {})
                row[s] = row.get(s, 0) + 1
    return table


def witten_bell(table, t, i, order, alphabet):
    p = 1 / alphabet
    for c in contexts(t, i, order):
        row = table.get(c)
        if not row:
            break
        p = (row.get(t[i], 0) + len(row) * p) / (sum(row.values()) + len(row))
    return -math.log(p)


def ngram(train, test, order, alphabet, gated):
    table, new, total = counts(train, order), set(), 0
    for i in range(len(test)):
        gram = tuple(test[max(0, i - 11):i + 1])
        if gated and gram in new:
            continue
        new.add(gram)
        total += witten_bell(table, test, i, order, alphabet)
    return total / len(test)


def adaptive(train, test, order, alphabet, weight):
    table, own, surprise = counts(train, order), {}, []
    for i, s in enumerate(test):
        p = 1 / alphabet
        for c in contexts(test, i, order):
            row, mine = table.get(c, {}), own.get(c, {})
            if not row and not mine:
                break
            distinct = len(row) if row else len(mine)
            total = sum(row.values()) + weight * sum(mine.values())
            p = (row.get(s, 0) + weight * mine.get(s, 0) + distinct * p) / (total + distinct)
        surprise.append(-math.log(p))
        for c in contexts(test, i, order):
            mine = own.setdefault(c, {})
            mine[s] = mine.get(s, 0) + 1
    top = sorted(surprise, reverse=True)[:math.ceil(.3 * len(test))]
    return sum(top) / len(top)


def jaccard(train, test):
    return 1 - max(len(set(t) & set(test)) / len(set(t) | set(test)) for t in train)


def solve(a, b):
    """Gaussian elimination with pivoting."""
    n = len(b)
    m = [row[:] + [b[i]] for i, row in enumerate(a)]
    for i in range(n):
        best = max(range(i, n), key=lambda r: abs(m[r][i]))
        m[i], m[best] = m[best], m[i]
        for r in range(i + 1, n):
            f = m[r][i] / m[i][i]
            m[r] = [x - f * y for x, y in zip(m[r], m[i])]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (m[i][n] - sum(m[i][j] * x[j] for j in range(i + 1, n))) / m[i][i]
    return x


def mahalanobis(train, test):
    """Ledoit and Wolf's shrinkage from the samples themselves, plus the floor."""
    x = [[math.log1p(c) for c in row] for row in train]
    n, d = len(x), len(x[0])
    mean = [sum(r[j] for r in x) / n for j in range(d)]
    y = [[r[j] - mean[j] for j in range(d)] for r in x]
    s = [[sum(r[i] * r[j] for r in y) / n for j in range(d)] for i in range(d)]
    mu = sum(s[i][i] for i in range(d)) / d
    delta = sum((s[i][j] - (mu if i == j else 0))**2 for i in range(d) for j in range(d))
    beta = sum(sum((r[i] * r[j] - s[i][j])**2 for i in range(d) for j in range(d)) for r in y) / n**2
    a = min(1, beta / delta)
    c = [[(1 - a) * s[i][j] + ((a * mu + .0025) if i == j else 0) for j in range(d)] for i in range(d)]
    z = [math.log1p(test[j]) - mean[j] for j in range(d)]
    known = sum(u * v for u, v in zip(z, solve(c, z)))
    return known, mu + .0025  # and the variance of a call that was never learnt


def array(name, kind, values):
    text, line = [], "   "
    for v in values:
        item = f" {v!r},"
        if len(line) + len(item) > 96:
            text.append(line)
            line = "   "
        line += item
    return f"static const {kind} {name}[] = {{\n" + "\n".join(text + [line]) + "\n};\n"


train = [trace(n, 12) for n in (60, 45, 80)]
tests = [trace(50, 12), train[0][10:40] + trace(20, 14), [3], trace(9, 40)]
out = ["/* Made by make_detect.py. Do not edit. */\n#pragma once\n\n#include <stdint.h>\n"]
for i, t in enumerate(train):
    out.append(array(f"vector_train_{i}", "uint16_t", t))
for i, t in enumerate(tests):
    out.append(array(f"vector_test_{i}", "uint16_t", t))
out.append("/* [test] stide 6, ngram of order 8 with the gate of 12, without it, adaptive, jaccard; alphabet 341 */")
out.append("static const double vector_scores[][5] = {")
for t in tests:
    row = [stide(train, t, 6), ngram(train, t, 8, 341, True), ngram(train, t, 8, 341, False),
           adaptive(train, t, 12, 341, 100), jaccard(train, t)]
    out.append("    {" + ", ".join(f"{v:.12g}" for v in row) + "},")
out.append("};\n")
bins = [[100 + pick(60), 40 + pick(30), pick(9), (100 + pick(60)) * (1 + pick(3))] for _ in range(40)]
for r in bins:
    r[1] += r[0] // 2
bin_tests = [[130, 110, 4, 200], [130, 10, 4, 200], [0, 0, 0, 0], [5000, 3000, 90, 7000]]
out.append("/* calls per second of four syscalls; their distances, the last one with 7 calls of a new one */")
out.append("static const uint32_t vector_bins[][4] = {")
out += ["    {" + ", ".join(map(str, r)) + "}," for r in bins] + ["};"]
out.append("static const uint32_t vector_bin_tests[][4] = {")
out += ["    {" + ", ".join(map(str, r)) + "}," for r in bin_tests] + ["};"]
values = [mahalanobis(bins, t)[0] for t in bin_tests]
values.append(values[0] + math.log1p(7)**2 / mahalanobis(bins, bin_tests[0])[1])
out.append(array("vector_distances", "double", [float(f"{v:.12g}") for v in values]))
path = pathlib.Path(__file__).with_name("detect.h")
path.write_text("\n".join(out))
