"""A real browser, driven through a pipe: what a page runs, requests and shows."""

import fcntl
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find():
    """Return the browser's path; None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One page of a browser, and what happened on it."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer
        self._number, self._session = 0, None
        self.scripts, self.dialogs, self.requests, self._loaded = [], [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Debugger", "Network"):
            self.call(f"{domain}.enable")

    def _send(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        self._writer.flush()
        return self._number

    def _receive(self):
        """Take one message; record what it reports about the page."""
        text = b""
        while not text.endswith(b"\0"):
            more = self._reader.read(1)
            assert more, "the browser has ended"
            text += more
        message = json.loads(text[:-1])
        about = message.get("params", {})
        match message.get("method"):
            case "Debugger.scriptParsed":
                self.scripts.append(about)
            case "Page.javascriptDialogOpening":
                self.dialogs.append(about["message"])
                self._send("Page.handleJavaScriptDialog", accept=True)  # the page waits for it
            case "Network.requestWillBeSent":
                self.requests.append(about["request"]["url"])
            case "Page.loadEventFired":
                self._loaded = True
        return message

    def call(self, method, **parameters):
        """Return what the browser answers to a command."""
        number = self._send(method, **parameters)
        while (message := self._receive()).get("id") != number:
            pass
        assert "error" not in message, message
        return message.get("result", {})

    def open(self, path):
        """Load a file, and wait until it is there with all that it shows."""
        self._loaded = False
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        while not self._loaded:
            self._receive()

    def evaluate(self, expression):
        """Return the value of an expression on the page; it counts as a script."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")


def _above_ten(end):
    """Return another number of an open file, which is out of the way of 3 and 4."""
    other = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(end)
    return other


@contextmanager
def page(browser, folder):
    """Start ``browser`` with a new profile in ``folder``; yield a page of it."""
    theirs_in, ours_out = map(_above_ten, os.pipe())
    ours_in, theirs_out = map(_above_ten, os.pipe())
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with os.fdopen(ours_in, "rb") as reader, os.fdopen(ours_out, "wb") as writer:
            yield Page(reader, writer)
    finally:
        process.kill()
        process.wait()
