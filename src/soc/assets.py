#!/usr/bin/env python3
"""Lists the built page (ui/dist) for assets.c: one line a file, with a hash, so that a changed file
changes this header and is embedded anew. usage: assets.py DIST OPENAPI"""
import hashlib
import os
import sys

TYPES = {
    "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8", "svg": "image/svg+xml", "png": "image/png",
    "json": "application/json", "woff2": "font/woff2", "ico": "image/x-icon",
    "txt": "text/plain; charset=utf-8",
}


def asset(n, url, path):
    with open(path, "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()[:32]
    kind = TYPES.get(path.rsplit(".", 1)[-1])
    if kind and '"' not in path:
        print(f'ASSET({n}, "{url}", "{os.path.abspath(path)}", "{kind}", "\\"{digest}\\"")')


def main():
    dist, openapi = sys.argv[1:]
    files = []
    for folder, _, names in os.walk(dist):
        files += [os.path.join(folder, name) for name in names]
    print("/* Made by assets.py. */")
    asset(0, "/api/v1/openapi.json", openapi)
    if os.path.exists(os.path.join(dist, "index.html")):
        for n, path in enumerate(sorted(files), 1):
            asset(n, "/" + os.path.relpath(path, dist), path)


main()
