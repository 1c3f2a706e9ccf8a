"""A real Chromium, driven over WebDriver (W3C) and the DevTools protocol, standard library only."""
import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]


def missing():
    """What is not installed, or None."""
    return next((p for p in ("chromium", "chromedriver") if not shutil.which(p)), None)


class Failed(AssertionError):
    pass


def until(what, check, seconds=60.0):
    """Waits until check() is true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)


class Browser:
    def __init__(self, width=1440, height=900, dark=False):
        self.profile = tempfile.mkdtemp(prefix="vigia-browser-")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        try:
            until("chromedriver answers", self._answers)
            options = {"args": FLAGS + [f"--user-data-dir={self.profile}"], "binary": shutil.which("chromium")}
            session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"}}}})
            self.base += "/session/" + session["sessionId"]
            self.size(width, height)
            self.colours(dark)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self._ask("DELETE", "")
        except (OSError, Failed): # no session was made: what refused it is the error to tell
            pass
        self.driver.terminate()
        self.driver.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _answers(self):
        try:
            return self._ask("GET", "/status")["ready"]
        except OSError:
            return False

    def _ask(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise Failed(f"{method} {path}: {json.load(e)['value']['message'].splitlines()[0]}") from None

    def devtools(self, command, **parameters):
        return self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def size(self, width, height):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                      mobile=width < 600)

    def colours(self, dark):
        self.devtools("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def open(self, url):
        self._ask("POST", "/url", {"url": url})

    def js(self, script, *arguments):
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait_js(self, what, script, *arguments, seconds=60.0):
        return until(what, lambda: self.js(script, *arguments), seconds)

    def text(self, css="body"):
        return self.js("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", css)

    def has(self, text, css="body", seconds=60.0):
        try:
            return until(f"{css} says {text!r}", lambda: text in self.text(css), seconds)
        except Failed as e:
            raise Failed(f"{e}; it says: {self.text(css)[:600]!r}") from None

    def _find(self, css):
        self.wait_js(f"there is {css}", "return !!document.querySelector(arguments[0])", css)
        return self._ask("POST", "/element", {"using": "css selector", "value": css})[ELEMENT]

    def click(self, css):
        self._ask("POST", f"/element/{self._find(css)}/click", {})

    def click_text(self, css, text):
        """The first visible element of the selector that begins with the text."""
        found = self.wait_js(f"there is {css} {text!r}", """
            const e = [...document.querySelectorAll(arguments[0])].find(
                (e) => e.innerText.trim().startsWith(arguments[1]) && e.offsetParent);
            if (e) e.click();
            return !!e""", css, text)
        return found

    def type(self, css, text):
        element = self._find(css)
        self._ask("POST", f"/element/{element}/clear", {})
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, key):
        """One key, to whatever has the focus."""
        key = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowRight": "\ue014"}.get(key, key)
        self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}]})

    def complaints(self):
        """What the console got since the last call: faults of scripts, policy violations, failed loads."""
        return [line["message"] for line in self._ask("POST", "/se/log", {"type": "browser"})
                if line["level"] in ("SEVERE", "WARNING")]

    def screenshot(self, path, whole=True):
        clip = {}
        if whole:
            width, height = self.js("return [innerWidth, document.documentElement.scrollHeight]")
            clip = {"captureBeyondViewport": True,
                    "clip": {"x": 0, "y": 0, "scale": 1, "width": width, "height": min(height, 4000)}}
        data = self.devtools("Page.captureScreenshot", format="png", **clip)["data"]
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))
