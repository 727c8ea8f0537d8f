"""Faults that a user of the command line can cause: one line that says what to do, no traceback.

Every command is in the table of `COMMANDS`: a new one has to say here how it is called.
"""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from tests.command_line import Ended, Run
from tests.processes import environment
from waitline import cli
from waitline.trial.embedded_server import StartError, last_error
from waitline.trial.machine import free_port
from waitline.trial.postgres_server import PostgresServer

SOON_S = 60.0


# How each command is called; CSV and OUT are filled in, and the addresses of stores are added.
VALKEY, DATABASE, BOTH, NONE = ("valkey",), ("database",), ("valkey", "database"), ()
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rooms list": ("", VALKEY),
    "rooms create": ("r", VALKEY),
    "rooms show": ("r", VALKEY),
    "rooms set": ("r --admit-per-second 3", VALKEY),
    "rooms reset": ("r --yes", VALKEY),
    "rooms delete": ("r --yes", VALKEY),
    "rooms addresses": ("r", VALKEY),
    "rooms log": ("r", VALKEY),
    "concerts list": ("", DATABASE),
    "concerts create": ("title --room r", DATABASE),
    "concerts set": ("1 --queue-down admit", DATABASE),
    "concerts schedule": ("1 --starts-at 2099-01-01T20:00+09:00", DATABASE),
    "concerts import": ("1 CSV", DATABASE),
    "concerts delete": ("1", DATABASE),
    "concerts log": ("", DATABASE),
    "schedules create": ("1 --starts-at 2099-01-01T20:00+09:00", DATABASE),
    "schedules set": ("1 --visitor-seats 2", DATABASE),
    "schedules delete": ("1", DATABASE),
    "seats import": ("1 CSV", DATABASE),
    "seats export": ("1", DATABASE),
    "seats set": ("1 --all --price 5", DATABASE),
    "seats delete": ("1 --all", DATABASE),
    "schedules cancel": ("1 --yes", DATABASE),
    "schedules postpone": ("1 --refund-until 2029-01-01T20:00+09:00", DATABASE),
    "schedules progress": ("1", DATABASE),
    "schedules resume": ("1", DATABASE),
    "seats hold": ("1 A-1 --reason press", DATABASE),
    "seats release": ("1 A-1", DATABASE),
    "seats give": ("1 A-1 --name a", DATABASE),
    "seats list": ("1", DATABASE),
    "door list": ("1", DATABASE),
    "protect show": ("", VALKEY),
    "protect add": ("--room 1 --path /buy/*", VALKEY),
    "protect remove": ("buy", VALKEY),
    "protect set": ("RULES", VALKEY),
    "protect try": ("https://shop.example/", VALKEY),
    "audit": ("--room r", VALKEY),
    "outbox": ("", BOTH),
    "outbox retry": ("--all", BOTH),
    "outbox resend": ("--since 2027-01-01T20:00+09:00", DATABASE),
    "payments": ("", DATABASE),
    "payments acknowledge": ("1", DATABASE),
    "reservations show": ("1", DATABASE),
    "report sale": ("--room r --out OUT", BOTH),
    "rehearse": ("--clean", BOTH),
    "migrate": ("", DATABASE),
    "mode": ("", BOTH),
    "mode set": ("production --yes", BOTH),
}
# They use no store, go on without one until it is there, or need a provider first; other tests
# start them.
OTHERS = {
    "up", "queue", "booking", "admitter", "sandbox-pay", "simulate", "settings", "version",
    "backup", "restore", "report panels", "report performance", "doctor", "top",
    "size", "keys create", "keys list", "keys rotate", "keys revoke", "door verify",
    "payments refund-unknown",
}  # fmt: skip


def _names(group: typer.Typer = cli.app) -> Iterator[str]:
    command = typer.main.get_command(group)
    for name, sub in command.commands.items():  # type: ignore[attr-defined]  # a group
        inner = getattr(sub, "commands", None)
        if not inner or sub.invoke_without_command:
            yield name
        yield from (f"{name} {one}" for one in inner or ())


def test_the_table_has_every_command() -> None:
    assert set(_names()) - OTHERS == {*COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_succeeds_without_its_store(name: str, run: Run, tmp_path: Path) -> None:
    arguments, stores = COMMANDS[name]
    plan = tmp_path / "plan.csv"
    plan.write_text("section,row,seat,grade,price\nFloor,A,A-1,VIP,1000\n")
    rules = tmp_path / "rules.json"
    rules.write_text('{"rules": []}')
    filled = {"CSV": str(plan), "RULES": str(rules), "OUT": str(tmp_path / "out")}
    words = [filled.get(word, word) for word in arguments.split()]
    port = free_port()
    addresses = {
        "valkey": ["--valkey-url", f"redis://127.0.0.1:{port}"],
        "database": ["--database-url", f"postgresql://u:hidden@127.0.0.1:{port}/x"],
    }
    where = [word for store in stores for word in addresses[store]]
    ended = run(*name.split(), *words, "--data-dir", tmp_path / "data", *where)
    assert ended.code == 1
    said = ended.err or ended.out
    assert "Connection refused" in said
    assert "Traceback" not in said
    assert "hidden" not in said
    if name not in ("outbox", "rehearse"):
        assert len(ended.lines) == 1
        assert "Is it running?" in said
        assert "Set another address with --" in said


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["up"], id="up"),
        pytest.param(["queue", "--valkey-url", "redis://127.0.0.1:1"], id="queue"),
        pytest.param(["keys", "rotate"], id="keys-rotate"),
        pytest.param(["keys", "list"], id="keys-list"),
        pytest.param(["mode"], id="mode"),
        pytest.param(["mode", "set", "trial", "--yes"], id="mode-set"),
        pytest.param(["rooms", "list"], id="rooms"),
    ],
)
@pytest.mark.parametrize("kind", ["file", "below-a-file", "not-writable"])
def test_a_data_folder_that_cannot_be_one(
    words: list[str], kind: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    folders = {
        "file": tmp_path / "file",
        "below-a-file": tmp_path / "file" / "data",
        # Not even the superuser may create files there.
        "not-writable": Path("/proc/waitline"),
    }
    ended = run(*words, "--data-dir", folders[kind])
    assert ended.code in (1, 2)
    assert len(ended.lines) == 1
    assert "Traceback" not in ended.err
    assert str(folders[kind]) in ended.err or str(tmp_path / "file") in ended.err


def test_a_folder_with_other_files_is_no_data_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    ended = run("up", "--data-dir", tmp_path)
    assert ended.code == 2
    assert "holds other files (thesis.tex)" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["valkey", "postgres", "keys"])
def test_a_folder_of_ours_that_is_a_file(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    ended = run("up", "--data-dir", tmp_path, "--queue-port", 0, "--booking-port", 0)
    assert ended.code == 1
    assert len(ended.lines) == 1, ended.err
    assert str(tmp_path / name) in ended.err
    assert "File exists" in ended.err


@pytest.mark.parametrize(
    "words", [["simulate", "--visitors", "10"], ["report", "sale", "--room", "r"]]
)
@pytest.mark.parametrize("out", ["file", "file/below", "/proc/waitline"])
def test_a_folder_for_results_that_cannot_be_one_is_said_at_once(
    words: list[str], out: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    ended = run(*words, "--out", tmp_path / out)
    assert ended.code == 2
    assert ended.out == "", "nothing is computed first"
    assert len(ended.lines) == 1
    assert ended.err.startswith("waitline: --out: ")


def test_what_initdb_says_is_passed_on(tmp_path: Path) -> None:
    """The line that names the failure, not the last one, which says that it cleans up."""
    said = (
        "performing post-bootstrap initialization ... \n"
        'initdb: error: could not write to file "pg_wal/x": No space left on device\n'
        'initdb: removing data directory "/data"\n'
    )
    assert "No space left on device" in last_error(said)
    fake = tmp_path / "initdb"
    fake.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}END\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(StartError, match="No space left on device"):
        PostgresServer(tmp_path / "pg", binaries=tmp_path).start()
    assert not (tmp_path / "pg" / "data.new").exists()


@pytest.mark.parametrize("command", ["queue", "up"])
def test_a_port_in_use_names_the_option(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = [command, "--queue-port", port, "--data-dir", tmp_path]
        words += ["--valkey-url", "unix:///nowhere"] if command == "queue" else ["--no-box-office"]
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "waitline", *map(str, words)],
            env={**environment(), "WAITLINE_QUEUE_MANAGEMENT_PORT": str(free_port())},
            capture_output=True,
            text=True,
            check=False,
            timeout=SOON_S,
        )
    assert done.returncode in (1, 2)
    last = done.stderr.splitlines()[-1]
    assert f"port {port}: Address already in use; --queue-port chooses another" in last
    assert "Traceback" not in done.stderr


def test_any_other_refusal_of_the_system_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    monkeypatch.setattr(cli, "app", fail)
    assert run() == Ended(1, "", "waitline: /somewhere: Permission denied\n")


def test_a_reader_that_ends_early_ends_the_command_quietly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "waitline", "settings"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert said == b""


def test_keys_are_not_made_where_none_are(run: Run, tmp_path: Path) -> None:
    ended = run("keys", "list", "--data-dir", tmp_path / "typo")
    assert ended.code == 1
    assert "keys.json is missing" in ended.err
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("given", ["--valkey-url", "WAITLINE_VALKEY_URL"])
def test_an_embedded_cluster_and_a_store_of_ones_own_contradict_each_other(
    run: Run, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [given, "redis://127.0.0.1:1"] if given.startswith("--") else []
    if not words:
        monkeypatch.setenv(given, "redis://127.0.0.1:1")
    ended = run("up", "--cluster", "3+0", *words, "--data-dir", tmp_path / "data")
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "--cluster: starts a cluster of embedded servers, but --valkey-url" in ended.err
    assert "leave one of the two out" in ended.err
    assert not (tmp_path / "data").exists(), "nothing was started"


@pytest.mark.parametrize("what", [["--room", "r"], ["--booking"]])
def test_hours_are_of_the_provider_alone(run: Run, what: list[str]) -> None:
    ended = run("audit", *what, "--hours", 3)
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert "--hours: only --provider looks back in time" in ended.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--use", "5"], "--use"),
        (["--ready", "soon"], "--ready"),
        (["--over", "ramp:x"], "--over"),
        (["--over", "1000/s*x"], "--over"),
    ],
)
def test_a_duration_that_cannot_be_names_its_option(
    words: list[str], option: str, run: Run
) -> None:
    ended = (
        run("simulate", "--visitors", 10, *words)
        if "/s" not in words[1]
        else run("simulate", *words)
    )
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert ended.err.startswith(f"waitline: {option}: ")
    assert "is not a duration; write 300ms, 5s, 1.5m or 2h" in ended.err


@pytest.mark.parametrize("minutes", ["0", "121", "nan"])
def test_a_duration_of_a_rehearsal_names_its_option(minutes: str, run: Run, tmp_path: Path) -> None:
    ended = run("rehearse", "--minutes", minutes, "--data-dir", tmp_path)
    assert (ended.code, len(ended.lines)) == (2, 1)
    assert ended.err.startswith("waitline: --minutes: must be above 0 and at most 120")


def test_an_unreachable_cluster_is_reported_once(run: Run) -> None:
    ended = run("rooms", "list", "--valkey-url", f"redis+cluster://127.0.0.1:{free_port()}")
    assert (ended.code, len(ended.lines)) == (1, 1)
    assert ended.err.count("cannot be reached") == 1
    assert "Connection refused" in ended.err


def test_a_name_that_is_no_host(run: Run) -> None:
    ended = run("rooms", "list", "--valkey-url", "redis://nowhere.invalid")
    assert ended.code == 1
    assert "nowhere.invalid" in ended.err
