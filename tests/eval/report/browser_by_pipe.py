"""Headless Chromium driven over its debugging pipe: real clicks, keys and sizes, no library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((found for name in BROWSERS if (found := shutil.which(name))), None)
PATIENCE_SECONDS = 60.0

# The browser wants its pipe to be descriptors 3 and 4.
_START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    "os.execvp(sys.argv[3], sys.argv[3:])"
)


class Browser:
    """One browser with one page; a context manager."""

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 800) -> None:
        """profile: a folder for what the browser stores, such as downloads and localStorage."""
        assert BROWSER is not None
        to_read, self._write = _pipe()
        self._read, to_write = _pipe()
        command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-extensions", "--mute-audio"]
        command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        start = [sys.executable, "-c", _START, str(to_read), str(to_write), *command]
        self._process = subprocess.Popen(
            start,
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._last = 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self._downloads = profile / "downloads"
        self._attach(width, height)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self._message(until)
            if found.get("id") == self._last:
                assert "error" not in found, (method, found["error"])
                result: dict[str, Any] = found["result"]
                return result
        raise AssertionError(f"the browser did not answer {method}")

    def open(self, address: str) -> None:
        """Go there and wait for the page."""
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until the expression is true in the page."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if self.ask(expression):
                return
            time.sleep(0.03)
        raise AssertionError(f"never true: {expression}")

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, which must be what lies there."""
        where = self.ask(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "nearest" }});
              const box = element.getBoundingClientRect();
              const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
              const hit = document.elementFromPoint(x, y);
              return {{ x, y, hit: element.contains(hit) }};
            }})()"""
        )
        assert where.pop("hit"), f"{selector} is covered"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    def press(self, key: str) -> None:
        """Press a key, as a person would; a letter or a digit types itself."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Put text where the focus is."""
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int, *, dark: bool = False, calm: bool = False) -> None:
        """A window of that size, for a reader with those wishes."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        wishes = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "reduce" if calm else "no-preference",
        }
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in wishes.items()],
        )

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def downloaded(self, name: str) -> Path:
        """A downloaded file, once it is there."""
        path = self._downloads / name
        until = time.monotonic() + PATIENCE_SECONDS
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.03)
        return path

    def _attach(self, width: int, height: int) -> None:
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self._downloads)
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def _message(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            left = max(0.0, until - time.monotonic())
            assert select.select([self._read], [], [], left)[0], "the browser says nothing"
            some = os.read(self._read, 1 << 16)
            assert some, "the browser ended"
            self._buffer += some
        text, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        if found.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(found["params"]["exceptionDetails"]["exception"]["description"])
        if found.get("method") == "Log.entryAdded":
            entry = found["params"]["entry"]
            if entry["level"] == "error":
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        return found


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are not descriptors that the browser wants for itself."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
