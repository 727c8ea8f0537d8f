"""`waitline top` on running services: pages, a terminal, and addresses that are wrong."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from typer.testing import CliRunner

from tests.booking_web.office import Office
from tests.processes import environment
from tests.until import until
from tests.web.stack import SOON_S, UP_S, waitline
from waitline.cli import app
from waitline.kernel.errors import Misconfigured
from waitline.trial.machine import free_port


@pytest.fixture(params=["production", pytest.param("trial", marks=pytest.mark.long)])
def office(request: pytest.FixtureRequest) -> Office:
    found: Office = request.getfixturevalue(f"{request.param}_office")
    return found


@contextmanager
def arriving(office: Office) -> Iterator[str]:
    """Let visitors arrive in a room, one after the other, until the block ends."""
    room = office.queue.room(mode="paused")
    ended = threading.Event()

    def arrive() -> None:
        for number in range(10_000):
            if ended.wait(0.02):
                return
            room.arrive(str(number))

    thread = threading.Thread(target=arrive)
    thread.start()
    try:
        yield str(room.name)
    finally:
        ended.set()
        thread.join(SOON_S)


def test_one_document(office: Office) -> None:
    with arriving(office) as room:
        addresses = [*office.program.management_urls, f"http://127.0.0.1:{free_port()}"]
        done = waitline("top", *addresses, "--once", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    found = json.loads(line)
    assert [one["address"] for one in found["sources"]] == addresses
    answered = [one["failure"] for one in found["sources"]]
    assert answered[:2] == [None, None]
    assert "Connect" in answered[2]
    (row,) = [one for one in found["rooms"] if one["room"] == room]
    assert row["waiting"] > 0
    assert row["admittedPerS"] in {0.0, None}
    calls = {one["call"]: one for one in found["calls"]}
    enter = calls["POST /api/v1/queue/enter"]
    assert enter["perS"] > 0
    assert 0 < enter["p50Ms"] <= enter["p95Ms"] <= enter["p99Ms"]
    assert not any("/actuator/" in call for call in calls)
    services = {one["service"] for one in found["instances"]}
    assert services == {"queue", "booking"}
    assert all(one["processes"] >= 2 and one["memoryBytes"] > 1e7 for one in found["instances"])
    assert found["boxOffice"]["connections"] >= 1
    assert found["admitters"] >= 1


@pytest.mark.long
def test_where_no_terminal_is_it_prints_one_interval(production_office: Office) -> None:
    with arriving(production_office) as room:
        done = waitline("top", *production_office.program.management_urls)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert room in done.stdout
    assert "POST /queue/enter" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["nowhere"], "'nowhere' is no address; write http://HOST:PORT", id="no URL"),
        pytest.param(["http://127.0.0.1:1"], "no metrics at http://127.0.0.1:1: ", id="nobody"),
        pytest.param(
            ["--prometheus", "http://127.0.0.1:1"], "Prometheus at http://127.0.0.1:1", id="none"
        ),
        pytest.param(
            ["http://127.0.0.1:1", "--prometheus", "http://127.0.0.1:1"],
            "--prometheus: leave out the addresses, or this option",
            id="both",
        ),
        pytest.param(["http://127.0.0.1:1"] * 65, "at most 64 addresses", id="many"),
    ],
)
def test_addresses_that_are_wrong(words: list[str], said: str) -> None:
    with pytest.raises(Misconfigured, match=re.escape(said)) as caught:
        CliRunner().invoke(app, ["top", *words], catch_exceptions=False)
    assert "\n" not in str(caught.value)


def test_a_page_that_is_none(production_office: Office) -> None:
    url = production_office.queue.url
    with pytest.raises(Misconfigured, match=r"no metrics at .*: status 404\. Give the addresses"):
        CliRunner().invoke(app, ["top", url], catch_exceptions=False)


class Screen:
    """The command in a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self.leader, follower = pty.openpty()
        env = {**environment(), "TERM": "xterm-256color"}
        # pytest-xdist sets them, and they would count more than the terminal's own size.
        for name in ("COLUMNS", "LINES"):
            env.pop(name, None)
        self.resize(80, 24)
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *words],
            stdin=follower, stdout=follower, stderr=follower, close_fds=True,
            env=env, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        self.written = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                text = os.read(self.leader, 65_536)
            except OSError:
                return
            self.written += text.decode("utf-8", "replace")

    def text(self, since: int) -> str:
        """Return what was written, without its controls."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", self.written[since:])

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(SOON_S)
        self._reader.join(SOON_S)
        os.close(self.leader)
        return status


@pytest.mark.long
def test_a_terminal(production_office: Office) -> None:
    with arriving(production_office) as room:
        screen = Screen("top", *production_office.program.management_urls, "--interval", "1")
        try:
            until(lambda: room in screen.written, UP_S, "the room is shown")
            before = len(screen.written)
            screen.resize(140, 40)
            screen.process.send_signal(signal.SIGWINCH)
            wide = re.compile(r"^room .{100,}reason *$", re.MULTILINE)
            until(lambda: bool(wide.search(screen.text(before))), SOON_S, "it is wider")
        except AssertionError as failure:
            failure.add_note(screen.text(0)[-5_000:])
            raise
        finally:
            assert screen.end() == 0
    assert "Traceback" not in screen.written
    assert "Reading metrics" in screen.written
    for switch in ("\x1b[?1049h", "\x1b[?1049l"):
        assert switch in screen.written, "an alternate screen, which is left at the end"
