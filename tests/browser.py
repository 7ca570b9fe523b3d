"""Chromium without a window and without a network, told what to do over a pipe: what a page asks for, and how it looks.

Knows the DevTools protocol, as far as a few commands of it; knows nothing of what is on the page.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # in a container there is none to be had; the page is our own
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--remote-debugging-pipe",
)
SECONDS = 60  # to start, or to answer, on a busy machine


class Page:
    """One page, in one browser."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers = to, answers
        self._ids, self._rest, self._session = itertools.count(1), b"", ""
        self.asked: list[str] = []
        """Every URL that was asked for since the last `load`."""
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.do("Page.enable")
        self.do("Network.enable")
        self._loaded = False

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            got = self._read()
            if got.get("id") == number:
                assert "error" not in got, got
                return got["result"]

    def _read(self) -> dict[str, Any]:
        until = time.monotonic() + SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, until - time.monotonic()))
            assert ready, "Chromium does not answer"
            got = os.read(self._answers, 1 << 16)
            assert got, "Chromium has ended"
            self._rest += got
        one, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(one)
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(message["params"]["request"]["url"])
        if message.get("method") == "Page.loadEventFired":
            self._loaded = True
        return message

    def load(self, path: Path, *, width: int, height: int = 900, phone: bool = False, dark: bool = False) -> None:
        """Show a file, with the network off."""
        self.asked, self._loaded = [], False
        nothing = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.do("Network.emulateNetworkConditions", **nothing)
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = "dark" if dark else "light"
        self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.do("Page.navigate", url=path.absolute().as_uri())
        while not self._loaded:
            self._read()

    def value(self, expression: str) -> Any:
        """What JavaScript says of the page, from outside of it."""
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self, *, whole: bool = True) -> bytes:
        """The page as a PNG: all of it, or what a screen shows first."""
        return base64.b64decode(self.do("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def paper(self) -> bytes:
        """The page as it is printed, on A4: a PDF."""
        size = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
        return base64.b64decode(self.do("Page.printToPDF", **size)["data"])


@contextlib.contextmanager
def page() -> Iterator[Page]:
    """A browser with one page; needs `PROGRAM`."""
    assert PROGRAM is not None
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # the browser reads commands on 3 and answers on 4; a plain sh knows no number above 9
        shell = ["bash", "-c", f'exec "$0" "$@" 3<&{to_read} 4>&{from_write}']
        process = subprocess.Popen(
            [*shell, PROGRAM, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(to_read, from_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)
        try:
            yield Page(to_write, from_read)
        finally:
            process.terminate()
            process.wait(SECONDS)
            os.close(to_write)
            os.close(from_read)
