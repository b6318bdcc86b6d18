"""A real browser, driven over its own protocol, and the command that it looks at."""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tornado.websocket import websocket_connect

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
PATIENCE = 30
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
from virtlab.cli import main
main()
"""


class Tab:
    """A tab of a headless Chromium, and all that it asked for and complained about."""

    def __init__(self, loop, connection, session):
        self._loop, self._connection, self._session = loop, connection, session
        self._count = 0
        self.requests, self.complaints = [], []

    def send(self, method, **params):
        """Call a method of the browser's protocol; returns its result."""
        self._count += 1
        wanted = self._count
        message = {"id": wanted, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        self._connection.write_message(json.dumps(message))
        while True:
            answer = json.loads(self._loop.run_until_complete(self._read()))
            if answer.get("sessionId") == self._session:  # not of another tab
                self._note(answer)
            if answer.get("id") == wanted and answer.get("sessionId") == self._session:
                assert "error" not in answer, answer
                return answer["result"]

    async def _read(self):
        return await asyncio.wait_for(self._connection.read_message(), PATIENCE)

    def _note(self, message):
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(params["exceptionDetails"])[:2000])
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.complaints.append(str([a.get("value") for a in params["args"]])[:2000])
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(params["entry"])[:2000])

    def size(self, width, height, *, dark=False, phone=False):
        """Be as large as this, and as bright."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address):
        """Go there, and wait for the pictures."""
        self.send("Page.navigate", url=address)
        self.wait("!!window.Bokeh?.documents[0]?.is_idle")

    def evaluate(self, script):
        """Value of a script, awaited where it is a promise."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script):
        """Wait until a script says yes; returns what it said."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                found = self.evaluate(script)
                if found:
                    return found
            time.sleep(0.05)
        raise AssertionError(f"never came: {script}; {self.complaints}")

    def press(self, *keys):
        """Press keys, where the focus is."""
        for key in keys:
            for kind in ("keyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, **_code(key))

    def screenshot(self, path, *, whole=False):
        """Keep what is seen."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


def _code(key):
    codes = {"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "Enter": 13, "Home": 36}
    text = {"text": "\r"} if key == "Enter" else {}
    return {"windowsVirtualKeyCode": codes.get(key, 0), **text}


class Browser:
    """A headless Chromium."""

    def __init__(self, folder):
        self._loop = asyncio.new_event_loop()
        self.process = subprocess.Popen(
            [
                BROWSER,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        said = folder / "DevToolsActivePort"
        end = time.monotonic() + PATIENCE
        while not (said.exists() and len(said.read_text().splitlines()) == 2):
            assert time.monotonic() < end, "Chromium does not start"
            time.sleep(0.05)
        port, path = said.read_text().splitlines()

        async def connected():
            return await websocket_connect(f"ws://127.0.0.1:{port}{path}", max_message_size=2**28)

        self._connection = self._loop.run_until_complete(connected())
        self._root = Tab(self._loop, self._connection, None)

    def tab(self):
        """Open a new tab."""
        context = self._root.send("Target.createBrowserContext")["browserContextId"]
        target = self._root.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self._root.send(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        tab = Tab(self._loop, self._connection, attached["sessionId"])
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.send(f"{domain}.enable")
        # As if it had the focus, which only one tab can have: copying needs it.
        tab.send("Emulation.setFocusEmulationEnabled", enabled=True)
        return tab

    def close(self):
        """End it, and all its helpers."""
        self._connection.close()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._loop.close()


class Explorer:
    """`virtlab explore`, running."""

    def __init__(self, *arguments, browser=None):
        command = [sys.executable, "-c", COMMAND, "explore", *map(str, arguments)]
        self.process = subprocess.Popen(
            command if browser else [*command, "--no-browser"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ({"BROWSER": str(browser)} if browser else {}),
        )
        self.address = self.process.stdout.readline().strip()

    @property
    def port(self):
        return int(re.search(r":(\d+)/", self.address)[1])

    def interrupt(self):
        """Press Ctrl-C; returns exit code and what it said on stderr."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One browser for all tests; skipped where there is none."""
    if BROWSER is None:
        pytest.skip("no Chromium")
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture
def tab(browser):
    """A new tab, of a laptop's size."""
    opened = browser.tab()
    opened.size(1280, 800)
    yield opened
    opened.send("Page.close")


@pytest.fixture
def start_explorer():
    """Start the command with arguments of a test's own."""
    started = []

    def start(*arguments, browser=None):
        started.append(Explorer(*arguments, browser=browser))
        return started[-1]

    yield start
    for running in started:
        running.close()


@pytest.fixture(scope="session")
def explorer(tiny_model):
    """The command, serving the tiny model."""
    running = Explorer(tiny_model, "--trials", "400")
    yield running
    running.close()
