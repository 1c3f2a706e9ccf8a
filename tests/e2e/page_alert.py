#!/usr/bin/env python3
"""What a person does after an attack, in a real Chromium, on a server that runs already: signs in with
the first password, sets an own one, opens the newest alert, reads it, closes it as an incident.
usage: page_alert.py URL PASSWORD [--expect TEXT]... [--screenshots DIR]
Prints the alert as the API has it then (JSON). Exit 1: something of it was not so; 77: no Chromium."""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, Failed, missing  # noqa: E402

OWN_PASSWORD = "correct horse battery"
# A question who is signed in is answered with 401, which Chromium logs.
EXPECTED_COMPLAINT = "/api/v1/session - Failed to load resource"


def sign_in(b, url, password):
    b.open(url)
    b.type("input[name=password]", password)
    b.click("button[type=submit]")
    b.wait_js("it is signed in", "return !document.querySelector('input[autocomplete=current-password][name=password]')")
    if b.js("return !!document.querySelector('input[name=old]')"):
        for name, text in (("old", password), ("new", OWN_PASSWORD), ("again", OWN_PASSWORD)):
            b.type(f"input[name={name}]", text)
        b.click("button[type=submit]")
    b.has("System calls per second")


def read_alert(b, expected):
    b.js("location.hash = '#/alerts'")
    b.click("section[aria-label=Queue] tbody tr a[data-alert]")
    b.has("Why this is strange")
    for text in expected:
        b.has(text)
    problems = b.js("""const count = (css) => document.querySelectorAll(css).length;
        return [[count('.why li'), 'no reason'], [count('.tree li.strange'), 'no strange process'],
                [count('ol time'), 'no event'],
                [count('.chips .strange') + count('section table tbody tr'), 'no evidence'],
                [!document.body.innerText.includes('undefined') && !document.body.innerText.includes('NaN'),
                 'a value is missing']].filter(([ok]) => !ok).map(([, what]) => what)""")
    if problems:
        raise Failed(f"the alert shows {', '.join(problems)}")


def close_alert(b):
    b.js("document.activeElement.blur()")
    b.press("c")
    b.click("dialog input[value=incident]")
    b.type("dialog textarea", "seen and stopped")
    b.click("dialog button[type=submit]")
    b.has("Closed: incident")
    return b.js("""return fetch('/api/v1/alerts/' + location.hash.split('/').pop()).then((r) => r.json())""")


def run(url, password, expected=(), screenshots=None):
    with Browser() as b:
        sign_in(b, url, password)
        if screenshots:
            os.makedirs(screenshots, exist_ok=True)
            b.wait_js("the chart is there", "return !!document.querySelector('canvas')")
            b.screenshot(f"{screenshots}/overview.png")
        read_alert(b, expected)
        if screenshots:
            b.screenshot(f"{screenshots}/alert.png")
            b.colours(dark=True)
            b.screenshot(f"{screenshots}/alert-dark.png")
            b.colours(dark=False)
        alert = close_alert(b)
        left = [c for c in b.complaints() if EXPECTED_COMPLAINT not in c]
        if alert.get("verdict") != "incident" or left:
            raise Failed(f"verdict {alert.get('verdict')!r}, the console says {left}")
        return alert


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("password")
    parser.add_argument("--expect", action="append", default=[], metavar="TEXT")
    parser.add_argument("--screenshots", metavar="DIR")
    arguments = parser.parse_args()
    if missing():
        print(f"skipped: {missing()} is not installed", file=sys.stderr)
        return 77
    try:
        print(json.dumps(run(arguments.url, arguments.password, arguments.expect, arguments.screenshots)))
    except Failed as e:
        print(f"FAILED: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
