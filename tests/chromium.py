"""Chromium without a window, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import anyio.to_thread

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = "there is no Chromium: apt-get install chromium"

_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip


class Tab:
    """A page, and what the browser says of it.

    Attributes:
        complaints: what the console says, and exceptions.
        requests: addresses that were asked for, but for data.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._numbers = itertools.count(1)
        self._session: str | None = None

    async def begin(self) -> None:
        target = await self.send("Target.createTarget", url="about:blank")
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")

    async def open(self, url: str, *, width: int = 1024, height: int = 800, scheme: str = "light") -> None:
        self.complaints.clear()
        self.requests.clear()
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        await self.send("Emulation.setTouchEmulationEnabled", enabled=width < 600)
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.send("Page.navigate", url=url)
        await self._until("Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """Return what a script gives; a promise is awaited."""
        done = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    async def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    async def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def picture(self, path: Path, *, whole: bool = True) -> None:
        """Save what it looks like as a PNG."""
        done = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await anyio.Path(path).write_bytes(base64.b64decode(done["data"]))

    async def send(self, method: str, **values: Any) -> dict[str, Any]:
        number = next(self._numbers)
        session = {} if self._session is None else {"sessionId": self._session}
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": values, **session}))
        while True:
            message = await self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    async def _until(self, event: str) -> None:
        while (await self._receive()).get("method") != event:
            pass

    async def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self._socket.receive_str())
        values = message.get("params", {})
        match message.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(str(values["exceptionDetails"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(str(values["args"]))
            case "Log.entryAdded":
                self.complaints.append(str(values["entry"]))
            case "Network.requestWillBeSent" if not values["request"]["url"].startswith("data:"):
                self.requests.append(values["request"]["url"])
        return message


@asynccontextmanager
async def chromium() -> AsyncIterator[Tab]:
    """Start a browser of its own, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = _start(profile)
        try:
            address = await anyio.to_thread.run_sync(_address, process)
            async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                with anyio.fail_after(60):
                    await tab.begin()
                yield tab
        finally:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()


def _start(profile: str) -> "subprocess.Popen[bytes]":
    assert PROGRAM is not None
    options = (*_OPTIONS, f"--user-data-dir={profile}", "about:blank")
    return subprocess.Popen([PROGRAM, *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _address(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.decode(errors="replace"))
        if "DevTools listening on " in said[-1]:
            return said[-1].split("listening on ")[1].strip()
    raise AssertionError("".join(said))
