"""Debian's Firefox and WebKitGTK (the engine of Safari), by the protocols that each of them speaks.

Firefox is driven by Marionette, its own protocol; WebKit by W3C WebDriver. Both know the same
commands, of which the tests need two: open an address, run a script in the page.
"""

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.processes import started
from waitline.trial.machine import free_port

# Seconds until a browser runs, on a machine that runs other tests as well.
STARTS_S = 60.0

WEBKIT = Path("/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser")

# Nothing but our own pages may be asked for.
QUIET = {
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
}


class Driven(Protocol):
    """A browser with one page."""

    def open(self, address: str) -> None:
        """Open an address and wait until it is loaded."""

    def run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """Run the body of a function in the page, and return what it returns."""


class Marionette:
    """Firefox. A message is its length, a colon, and JSON: `[0, id, command, parameters]`."""

    def __init__(self, port: int) -> None:
        # Closing the stream closes the socket, of which nothing else is kept.
        with socket.create_connection(("127.0.0.1", port), STARTS_S) as connected:
            self._stream = connected.makefile("rwb")
        self._sent = 0
        self._receive()

    def close(self) -> None:
        self._stream.close()

    def _receive(self) -> Any:  # noqa: ANN401
        size = b"".join(iter(lambda: self._stream.read(1), b":"))
        return json.loads(self._stream.read(int(size)))

    def command(self, name: str, **parameters: object) -> Any:  # noqa: ANN401
        self._sent += 1
        message = json.dumps([0, self._sent, f"WebDriver:{name}", parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, number, error, result = self._receive()
        assert (number, error) == (self._sent, None)
        return result

    def open(self, address: str) -> None:
        self.command("Navigate", url=address)

    def run(self, script: str) -> Any:  # noqa: ANN401
        return self.command("ExecuteScript", script=script, args=[])["value"]


class WebDriver:
    """WebKit."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        chosen = {"webkitgtk:browserOptions": {"binary": str(WEBKIT), "args": ["--automation"]}}
        session = self._post("/session", capabilities={"alwaysMatch": chosen})
        self._session = f"/session/{session['sessionId']}"

    def close(self) -> None:
        self._client.delete(self._session)

    def open(self, address: str) -> None:
        self._post(f"{self._session}/url", url=address)

    def run(self, script: str) -> Any:  # noqa: ANN401
        return self._post(f"{self._session}/execute/sync", script=script, args=[])

    def _post(self, path: str, **body: object) -> Any:  # noqa: ANN401
        answer = self._client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]


@contextmanager
def firefox(folder: Path) -> Iterator[Driven]:
    """Run Firefox ESR with a new profile."""
    port = free_port()
    settings = QUIET | {"marionette.port": port}
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(v)});" for name, v in settings.items())
    (folder / "user.js").write_text("\n".join(lines), "utf-8")
    argv = ["firefox-esr", "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    with (
        started(argv, {"HOME": str(folder)}, lambda: listens(port), STARTS_S),
        closing(Marionette(port)) as driven,
    ):
        driven.command("NewSession")
        yield driven


@contextmanager
def webkit(folder: Path) -> Iterator[Driven]:
    """Run WebKitGTK's MiniBrowser on a display of its own."""
    shown = folder / "display"
    port = free_port()
    folder.chmod(0o700)
    env = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LIBGL_ALWAYS_SOFTWARE": "1"}
    display = ["sh", "-c", f"exec Xvfb -displayfd 3 -nolisten tcp 3>{shown}"]
    with (
        started(display, env, lambda: shown.exists() and bool(shown.read_text()), STARTS_S),
        closing(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=STARTS_S)) as client,
    ):
        env["DISPLAY"] = f":{shown.read_text().strip()}"
        argv = ["WebKitWebDriver", f"--port={port}", "--host=127.0.0.1"]
        with (
            started(argv, env, lambda: listens(port), STARTS_S),
            closing(WebDriver(client)) as driven,
        ):
            yield driven


def listens(port: int) -> bool:
    """Say whether a driver accepts connections."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def installed() -> bool:
    """Say whether both browsers are there."""
    programs = ("firefox-esr", "WebKitWebDriver", "Xvfb")
    return all(shutil.which(one) for one in programs) and WEBKIT.exists()
