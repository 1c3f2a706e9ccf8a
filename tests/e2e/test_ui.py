#!/usr/bin/env python3
"""The web page in a real Chromium, against the real server on a real SQLite store.
usage: test_ui.py SERVE [--screenshots DIR]     exit 77 where no Chromium is installed"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ui_data  # noqa: E402
from api import USER_PASSWORD, vigia_user  # noqa: E402
from browser import Browser, Failed, missing  # noqa: E402

PASSWORD = "correct horse battery"
PAGES = {  # name: address, beginning of the title
    "overview": ("#/overview", "Overview"),
    "alerts": ("#/alerts", "Alerts"),
    "alert": (f"#/alert/{1:016x}", ui_data.HEADLINE[:20]),
    "workloads": ("#/workloads", "Workloads"),
    "workload": ("#/workload?key=" + ui_data.WEB, ui_data.WEB),
    "container": ("#/container?key=" + ui_data.container_key(1), "httpd"),
    "coverage": ("#/coverage", "Coverage"),
    "settings": ("#/settings", "Settings"),
}
# A refused password, the question who is signed in, and what is asked while signing out are answered with 401,
# which Chromium logs.
EXPECTED_COMPLAINTS = ("status of 401",)


class Server:
    def __init__(self, program, database, port=0):
        self.program, self.directory = program, os.path.dirname(database)
        self.process = subprocess.Popen([program, database, f"port={port}"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("\n")  # the end of what is put before it listens
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline() or "{}")
        if "url" not in said:
            raise Failed("the server did not start")
        self.url, self.password = said["url"], said["password"]
        self.port = int(self.url.rstrip("/").rsplit(":", 1)[1])

    def put(self, *lines):
        for line in lines:
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()
            if '"put":true' not in self.process.stdout.readline():
                raise Failed(f"the store refused {json.dumps(line)[:200]}")

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)


def equal(what, value, expected):
    if value != expected:
        raise Failed(f"{what}: {value!r}, expected {expected!r}")


def no_complaints(b):
    left = [c for c in b.complaints() if not any(e in c for e in EXPECTED_COMPLAINTS)]
    equal("complaints of the browser's console", left, [])


def visit(b, page):
    address, title = PAGES[page]
    b.js("location.hash = arguments[0]", address)
    b.wait_js(f"the page {page} is there", """return document.title.startsWith(arguments[0])
        && !!document.querySelector('main .card') && !document.querySelector('main > p[role=status]')""", title)


# ---- the tests, in the order of a first visit ----

def first_login(b, server):
    b.open(server.url)
    b.has("Sign in")
    b.type("input[name=password]", "not the password")
    b.click("button[type=submit]")
    b.has("wrong name or password")
    b.type("input[name=password]", server.password)
    b.click("button[type=submit]")
    b.has("Choose your own password")
    b.js("location.hash = '#/alerts'")  # nothing else is shown before the password is changed
    time.sleep(0.3)
    b.has("Choose your own password")
    b.js("location.hash = ''")
    for name, text in (("old", server.password), ("new", PASSWORD), ("again", PASSWORD + "x")):
        b.type(f"input[name={name}]", text)
    b.click("button[type=submit]")
    b.has("The two new passwords differ.")
    b.type("input[name=again]", PASSWORD)
    b.click("button[type=submit]")
    b.has("System calls per second")


def overview(b, _server):
    visit(b, "overview")
    b.has("Open alerts")
    b.has("12,845")
    b.has("186,583,512 are stored, 0 are on their way, and none is lost")
    b.has("0.28 s")
    b.has("99 of 100 within 0.61 s")
    b.has("3 of 4 running are watched")
    for workload in (ui_data.WEB, ui_data.REDIS):
        b.has(workload, "table")
    b.has("Learning: 6 of 15 active minutes.", "table")
    b.wait_js("the chart is painted", """const c = document.querySelector('canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return d.some((v) => v !== 0)""")


def hostile_names(b, _server):
    """Shown as text everywhere, never as elements; the mark that turns the writing is spelt out."""
    shown = ui_data.EVIL.replace("\u202e", "\\u{202e}")
    for page in ("overview", "alerts", "alert", "workloads", "workload", "coverage"):
        visit(b, page)
        b.has(shown)
        equal(f"images on {page}", b.js("return document.images.length"), 0)
    b.js("location.hash = '#/workload?key=' + encodeURIComponent(arguments[0])", "evil/" + ui_data.EVIL)
    b.has(shown, "h1")
    b.js("location.hash = '#/container?key=' + arguments[0]", ui_data.container_key(3))
    b.has(shown, "h1")
    equal("the hostile script ran", b.js("return window.owned"), None)


def queue(b, _server):
    visit(b, "alerts")
    b.has(ui_data.HEADLINE)
    rows = "return document.querySelectorAll(`section[aria-label=Queue] tbody tr`).length"
    equal("rows of the queue", b.js(rows), 3)
    b.has("httpd wrote below /etc while it started", "section[aria-labelledby=held]")
    b.type("input[type=search]", "redis-server")
    b.wait_js("the search leaves one row", rows.replace(".length", ".length === 1"))
    b.type("input[type=search]", "nothing has this text")
    b.has("No alert matches these filters.")
    b.click_text("button", "Clear the filters")
    b.wait_js("all rows are back", rows.replace(".length", ".length === 3"))
    b.js("location.hash = '#/alerts?workload=' + arguments[0]", ui_data.REDIS)
    b.wait_js("the filter of the workload leaves one row", rows.replace(".length", ".length === 1"))
    b.click_text(".segments button", "Closed")
    b.has("No alert matches these filters.")


def keyboard(b, _server):
    visit(b, "alerts")
    b.js("location.hash = '#/alerts'")
    b.wait_js("three rows", "return document.querySelectorAll('section[aria-label=Queue] tbody tr').length === 3")
    b.js("document.activeElement.blur()")
    focus = "return document.activeElement.dataset.alert || ''"
    b.press("j")
    b.wait_js("j chooses the first", focus + " === arguments[0]", f"{1:016x}")
    b.press("j")
    b.wait_js("j chooses the second", focus + " === arguments[0]", f"{2:016x}")
    b.press("a")
    b.has("Acknowledged", "tr.current")
    b.press("k")
    b.wait_js("k goes back", focus + " === arguments[0]", f"{1:016x}")
    b.press("?")
    b.has("close with a verdict", "dialog")
    b.press("Escape")
    b.wait_js("Escape closes the help", "return !document.querySelector('dialog')")
    b.wait_js("the focus is back", focus + " === arguments[0]", f"{1:016x}")
    b.press("c")
    b.has("Verdict", "dialog")
    b.click_text("dialog button", "Cancel")
    b.wait_js("Cancel closes the dialog", "return !document.querySelector('dialog')")
    b.wait_js("the focus is back after Cancel", focus + " === arguments[0]", f"{1:016x}")
    b.press("Enter")
    b.has(ui_data.HEADLINE, "h1")
    equal("the address", b.js("return location.hash"), PAGES["alert"][0])


def alert(b, _server):
    visit(b, "alert")
    for text in (ui_data.HEADLINE, "Raised 0.31 s after the first strange call",
                 "cat read /etc/shadow, a file of credentials that this workload never touched.",
                 "/tmp/.x1 is not part of the image.", "not from image", "6.0 times its threshold",
                 "dash redirected its input and started a program where it normally reads its script.",
                 "What normally follows here", "71 %", "Programs, calls, errors and arguments that were never seen",
                 "dash ran cat for the first time."):
        b.has(text)
    equal("strange calls marked", b.js("return [...document.querySelectorAll('.chips .strange b')].map(e => e.innerText)"),
          ["dup2", "execve"])
    equal("calls drawn together", b.js("return document.querySelector('.chips').innerText.includes('×2')"), True)
    equal("strange processes", b.js("return document.querySelectorAll('.tree li.strange').length"), 3)
    b.has("makes one file number stand for another", ".detail")
    b.js("document.querySelector('.chips [aria-pressed=true]').focus()")
    b.press("ArrowRight")
    b.has("replaces the process with another program", ".detail")
    b.type("textarea[name=addnote]", "asked the shop's team")
    b.click_text("form button", "Add note")
    b.has("asked the shop's team", ".history")


def suppress(b, _server):
    visit(b, "alert")
    b.click_text(".actions button", "Suppress")
    for text in ("9f3a77c012aa4b01", "nothing in this workload ever read credentials", "1b2c3d4e5f607182",
                 "dash redirected its input"):
        b.has(text, "dialog")
    b.type("dialog textarea", "backup job " + ui_data.EVIL.split("\u202e")[0])
    b.click("dialog button[type=submit]")
    b.wait_js("the dialog is gone", "return !document.querySelector('dialog')")
    visit(b, "settings")
    b.has("backup job <img")
    b.has("9f3a77c012aa4b01")
    b.has("suppression added")
    b.click_text("td button", "Remove")
    b.has("Nothing is suppressed.")


def close(b, _server):
    visit(b, "alert")
    b.js("document.activeElement.blur()")
    b.press("c")
    b.has("Verdict", "dialog")
    b.click("dialog button[type=submit]")
    b.has("Choose a verdict", "dialog")
    b.click("dialog input[value=incident]")
    b.type("dialog textarea", "OPS-77: node isolated")
    b.click("dialog button[type=submit]")
    b.has("Closed: incident")
    b.has("OPS-77: node isolated", ".history")
    stored = b.js("return fetch('/api/v1/alerts/' + arguments[0]).then((r) => r.json())", f"{1:016x}")
    equal("stored state", (stored["state"], stored["verdict"]), ("closed", "incident"))
    equal("stored history", [(h["who"], h["note"]) for h in stored["history"]], [("admin", "asked the shop's team"), ("admin", "OPS-77: node isolated")])
    visit(b, "alerts")
    b.wait_js("it left the queue", "return document.querySelectorAll('section[aria-label=Queue] tbody tr').length === 2")


def live_within_two_seconds(b, server):
    visit(b, "alerts")
    text = "a new alert while the page is open"
    server.put(ui_data.alert(time.time(), 9, 88, text, ui_data.WEB, 1, "httpd", age=1))
    b.has(text)
    visit(b, "overview")
    later = ui_data.live(time.time())
    later["body"]["calls_per_s"] = 55555
    server.put(later)
    b.has("55,555")


def other_pages(b, _server):
    visit(b, "workload")
    for text in ("Steady running", "1 start seen", "lighttpd", "122 pairs of program and system call",
                 "with 95 % certainty not more than 4.7 a day", "Of the threshold", "httpd called vfork"):
        b.has(text)
    b.wait_js("four charts", "return document.querySelectorAll('canvas').length === 4")
    b.has("read", ".columns table")
    visit(b, "container")
    b.has("1 is running")
    b.click_text("button", "Show ended ones too")
    for text in ("cat /etc/shadow", "not from image", "8,123,456 system calls so far", "31,097,252 system calls seen of this container"):
        b.has(text)
    visit(b, "coverage")
    for text in ("3 containers are watched", "1 is not watched", "left out by the configuration", "about 9 min",
                 "the agent was restarted", "for 12 s", "capture works"):
        b.has(text)
    b.js("location.hash = '#/alert/none'")
    b.has("Go back")
    visit(b, "overview")
    b.complaints()  # those 404 are wanted


def sign_in_as(b, name, password):
    visit(b, "overview")
    b.click_text("button", "Sign out")
    b.type("input[name=name]", name)
    b.type("input[name=password]", password)
    b.click("button[type=submit]")
    b.has("System calls per second")


def roles(b, server):
    """Each role is offered what it may do, and the page asks for nothing that the server refuses: a 403
    would be a complaint of the console."""
    offers = {"vera": ("viewer", False, False), "ana": ("analyst", True, False)}
    for name, (role, _, _) in offers.items():
        vigia_user(server, "add", name, "-r", role)
    for name, (role, audit, test) in [*offers.items(), ("admin", ("admin", True, True))]:
        sign_in_as(b, name, USER_PASSWORD if name in offers else PASSWORD)
        visit(b, "settings")
        b.has("Nothing is suppressed.")
        if audit:
            b.has("suppression added")
        shown = b.js("return [...document.querySelectorAll('h2, button')].map((e) => e.innerText)")
        equal(f"the {role} sees the audit", "Audit" in shown, audit)
        equal(f"the {role} may test the sinks", "Send a test alert" in shown, test)
        no_complaints(b)
        visit(b, "alert")
        equal(f"the {role} may judge", b.js("return !!document.querySelector('.actions')"), audit)
    visit(b, "settings")
    b.click_text("button", "Send a test alert")
    b.has("No sink is configured")


def narrow(b, _server):
    b.size(390, 844)
    for page in PAGES:
        visit(b, page)
        time.sleep(0.3)
        equal(f"{page} is wider than a telephone by", b.js("return document.documentElement.scrollWidth - 390"), 0)
    b.size(1440, 900)


def themes(b, _server):
    visit(b, "overview")
    background = "return getComputedStyle(document.body).backgroundColor"
    light = b.js(background)
    b.colours(dark=True)
    dark = b.wait_js("it follows the system", f"return ({background.removeprefix('return ')}) !== arguments[0]"
                     f" && {background.removeprefix('return ')}", light)
    b.click("button[aria-label='Switch to light colours']")
    equal("switched to light", b.js(background), light)
    b.js("location.reload()")
    b.has("System calls per second")
    equal("still light", b.js(background), light)
    b.click("button[aria-label='Switch to dark colours']")
    equal("switched to dark", b.js(background), dark)
    b.colours(dark=False)
    equal("the reader's choice stays", b.js(background), dark)
    b.click("button[aria-label='Switch to light colours']")


def nothing_from_outside(b, server):
    names = b.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    equal("requests to others", [n for n in names if not n.startswith(server.url)], [])
    policy = b.js("return fetch('/').then((r) => r.headers.get('content-security-policy'))") or ""
    equal("the policy forbids inline code", "default-src 'self'" in policy and "unsafe" not in policy, True)


def long_queue(b, server):
    """Sorted as a whole, not the newest page of it; what is held has more than a page as well."""
    now = time.time()
    server.put(ui_data.alert(now, 900, 99, "the worst one, two days old", ui_data.WEB, 1, "httpd", age=2 * 86400),
               *[ui_data.alert(now, 1000 + i, 55, f"ordinary {i}", ui_data.WEB, 1, "httpd", age=6000 + i,
                               held=i % 2 == 0) for i in range(240)])
    b.js("location.hash = '#/alerts?sort=score'")
    b.has("the worst one", "section[aria-label=Queue] tbody tr:first-child")
    for section in ("section[aria-label=Queue]", "section[aria-labelledby=held]"):
        rows = f"return document.querySelectorAll('{section} tbody tr').length"
        b.wait_js(f"a page of {section}", rows + " === 100")
        b.click_text(f"{section} button", "Show more")
        b.wait_js(f"the rest of {section}", rows + " > 120")
        equal(f"nothing is left of {section}", b.js(f"return document.querySelector('{section} .more')"), None)
    b.js("location.hash = '#/alerts'")
    b.wait_js("the latest first", """return !document.querySelector('section[aria-label=Queue] tbody tr')
        .innerText.includes('the worst one')""")


def sign_in_elsewhere(b, name, password):
    """As another tab does: the cookie is that of a new session."""
    status = b.js("""return fetch('/api/v1/login', {method: 'POST', headers: {'Content-Type': 'application/json'},
        body: JSON.stringify({name: arguments[0], password: arguments[1]})}).then((r) => r.status)""", name, password)
    equal(f"{name} signed in in another tab", status, 200)


def other_tabs(b, _server):
    visit(b, "alert")
    sign_in_elsewhere(b, "admin", PASSWORD)
    b.type("textarea[name=addnote]", "written in the first tab")
    b.click_text("form button", "Add note")
    b.has("written in the first tab", ".history")
    sign_in_elsewhere(b, "ana", USER_PASSWORD)
    b.type("textarea[name=addnote]", "by whom?")
    b.click_text("form button", "Add note")
    b.has("You are signed in as ana now; nothing was changed.")
    b.has("ana", "header .user")
    sign_in_elsewhere(b, "admin", PASSWORD)
    b.js("window.kept = fetch; window.fetch = (url, o) => url.endsWith('/logout') ? Promise.reject() : kept(url, o)")
    b.click_text("button", "Sign out")
    b.has("You are still signed in. The Vigia server does not answer.", "[role=alert]")
    b.js("window.fetch = window.kept")
    sign_in_elsewhere(b, "ana", USER_PASSWORD)
    b.click_text("button", "Sign out")
    b.has("Sign in")
    b.js("location.reload()")
    b.has("Sign in")
    equal("signed out", b.js("return fetch('/api/v1/session').then((r) => r.status)"), 401)
    b.type("input[name=name]", "admin")
    b.type("input[name=password]", PASSWORD)
    b.click("button[type=submit]")
    b.has("Add note")
    refused = [c for c in b.complaints() if "403" not in c and not any(e in c for e in EXPECTED_COMPLAINTS)]
    equal("complaints beside the tokens refused", refused, [])


def clock_is_wrong(b, _server):
    """Half an hour behind: what is shown is the server's last quarter of an hour all the same."""
    script = b.devtools("Page.addScriptToEvaluateOnNewDocument",
                        source="{ const now = Date.now; Date.now = () => now() - 1800e3 }")
    b.js("location.hash = '#/workload?key=' + arguments[0]; location.reload()", ui_data.WEB)
    b.wait_js("four charts", "return document.querySelectorAll('canvas').length === 4")
    visit(b, "alerts")
    equal("times to come", b.js("return document.querySelector('section[aria-label=Queue]').innerText.includes('in 2')"),
          False)
    b.devtools("Page.removeScriptToEvaluateOnNewDocument", **script)
    b.js("location.reload()")
    b.wait_js("the clock is right again", "return Date.now.toString().includes('native')")
    visit(b, "overview")


def screenshots(b, folder):
    os.makedirs(folder, exist_ok=True)
    for dark in (False, True):
        b.colours(dark)
        b.js("localStorage.removeItem('vigia-theme'); location.hash = ''; location.reload()")
        b.has("System calls per second")
        for width, height in ((1440, 900), (390, 844)):
            b.size(width, height)
            for page in PAGES:
                visit(b, page)
                time.sleep(1)
                b.screenshot(f"{folder}/{page}-{'dark' if dark else 'light'}-{width}.png")
    b.size(1440, 900)
    b.colours(False)


def server_gone(b, server, program, database):
    """A banner while the server is away; sessions do not outlive it, so it asks to sign in again."""
    visit(b, "coverage")
    server.stop()
    b.has("has not answered since", "[role=alert]")
    b.has("Blind intervals")  # what was known stays
    again = Server(program, database, server.port)
    try:
        b.has("Your session has ended.")
        b.type("input[name=password]", PASSWORD)
        b.click("button[type=submit]")
        b.has("Blind intervals")
        equal("where it was", b.js("return location.hash"), "#/coverage")
        b.click_text("button", "Sign out")
        b.has("Sign in")
        b.js("location.hash = '#/alerts'")
        b.has("Sign in")
    finally:
        again.stop()


STEPS = [first_login, overview, hostile_names, queue, keyboard, alert, suppress, close, live_within_two_seconds,
         other_pages, roles, narrow, themes, nothing_from_outside, clock_is_wrong, other_tabs, long_queue]


def run(program, folder):
    with tempfile.TemporaryDirectory(prefix="vigia-ui-") as data:
        database = os.path.join(data, "vigia.db")
        server = Server(program, database)
        try:
            server.put(*ui_data.everything(time.time()))
            with Browser() as b:
                for step in STEPS:
                    started = time.monotonic()
                    step(b, server)
                    no_complaints(b)
                    print(f"ok {step.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
                if folder:
                    screenshots(b, folder)
                server_gone(b, server, program, database)
                print("ok server_gone", flush=True)
        finally:
            if server.process.poll() is None:
                server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server")
    parser.add_argument("--screenshots", metavar="DIR")
    arguments = parser.parse_args()
    if missing():
        print(f"skipped: {missing()} is not installed")
        return 77
    try:
        run(arguments.server, arguments.screenshots)
    except Failed as e:
        print(f"FAILED: {e}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
