"""The embedded server: it keeps what it acknowledged, and a folder has one server."""

import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from tests.processes import started
from tests.servers import redis_binary
from tests.until import until
from waitline import trial
from waitline.trial import FolderInUseError, StartError, ValkeyServer

KILLS = 15

# Seconds for what takes well under one, on a machine that runs other tests as well.
SOON_S = 20.0

# Starts a server and waits to be killed.
STARTER = """
import signal, sys
from pathlib import Path
from waitline.trial import ValkeyServer
valkey = ValkeyServer(Path(sys.argv[1]))
valkey.start()
print(valkey.pid, flush=True)
signal.pause()
"""


def ask(valkey: ValkeyServer, *words: str | int) -> object:
    with closing(redis.Redis.from_url(valkey.url, decode_responses=True)) as db:
        answer: object = db.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py
        return answer


@pytest.fixture(params=["valkey", "redis"])
def binary(request: pytest.FixtureRequest) -> Path:
    return redis_binary() if request.param == "redis" else trial.embedded_binary()


@pytest.fixture
def store(tmp_path: Path, binary: Path) -> Iterator[ValkeyServer]:
    valkey = ValkeyServer(tmp_path / "store", binary=binary)
    valkey.start()
    yield valkey
    valkey.stop()


def test_it_keeps_its_data_over_a_stop(store: ValkeyServer) -> None:
    ask(store, "SET", "a", "1")
    store.stop()
    assert not store.alive
    store.start()
    assert store.alive
    assert ask(store, "GET", "a") == "1"


def test_it_keeps_every_acknowledged_write_over_a_kill(store: ValkeyServer) -> None:
    for kills in range(KILLS):
        assert ask(store, "INCR", "writes") == kills + 1
        store.kill()
        assert not store.alive
        store.start()
        assert ask(store, "GET", "writes") == str(kills + 1)


def test_it_can_be_started_after_it_died_by_itself(store: ValkeyServer) -> None:
    url = store.url
    os.kill(store.pid, signal.SIGKILL)
    until(lambda: not store.alive, SOON_S, "the server is dead")
    store.start()
    assert store.url == url
    assert ask(store, "ECHO", "here") == "here"


def test_it_writes_before_it_replies_and_never_evicts(store: ValkeyServer) -> None:
    def setting(name: str) -> object:
        answer = ask(store, "CONFIG", "GET", name)
        assert isinstance(answer, dict)
        return answer[name]

    assert setting("appendonly") == "yes"
    assert setting("appendfsync") == "no"
    assert setting("maxmemory-policy") == "noeviction"
    assert setting("maxmemory") == str(trial.valkey_server.MAXMEMORY_BYTES)
    assert setting("port") == "0"


def test_only_this_user_can_open_it(store: ValkeyServer) -> None:
    path = Path(store.url.removeprefix("unix://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_it_waits_until_its_data_is_loaded(tmp_path: Path) -> None:
    # It pauses 200 µs for each key, and looks at its clients after 1024 of them.
    keys = 3000
    valkey = ValkeyServer(tmp_path, args=("key-load-delay 200",))
    valkey.start()
    try:
        with closing(redis.Redis.from_url(valkey.url)) as db, db.pipeline() as pipeline:
            for number in range(keys):
                pipeline.set(str(number), "x")
            pipeline.execute()
        valkey.kill()
        valkey.start()
        assert ask(valkey, "DBSIZE") == keys
        valkey.kill()
        with pytest.raises(StartError, match=r"gave no answer in 0\.05 s: "):
            valkey.start(timeout_s=0.05)
        assert not valkey.alive
    finally:
        valkey.stop()


def test_a_second_one_in_the_same_folder_is_refused(store: ValkeyServer, tmp_path: Path) -> None:
    second = ValkeyServer(tmp_path / "store")
    with pytest.raises(FolderInUseError) as refused:
        second.start()
    assert str(refused.value) == f"another waitline uses {tmp_path / 'store'}"
    assert store.alive
    store.stop()
    second.start()
    second.stop()


def test_a_server_that_outlived_its_starter_is_stopped(tmp_path: Path) -> None:
    ready = tmp_path / "store" / "valkey.sock"
    argv: list[str | Path] = [sys.executable, "-c", STARTER, tmp_path / "store"]
    with started(argv, {}, ready.exists, SOON_S) as starter:
        until(lambda: starter.output.endswith("\n"), SOON_S, "it says which server it has")
        left_over = int(starter.output)
        os.kill(starter.pid, signal.SIGKILL)
        starter.process.wait()
    os.kill(left_over, 0)

    valkey = ValkeyServer(tmp_path / "store")
    valkey.start()
    try:
        # Its new parent may not have reaped it yet, but it must be dead.
        assert not _runs(left_over)
        assert valkey.pid != left_over
        assert ask(valkey, "ECHO", "here") == "here"
    finally:
        valkey.stop()


def test_a_stranger_in_the_folder_is_left_alone(tmp_path: Path, store: ValkeyServer) -> None:
    """The lock of the starter is gone, that of a server of another make is held."""
    (tmp_path / "store" / "lock").unlink()
    embedded_one = trial.embedded_binary()
    other = redis_binary() if store.command()[0] == str(embedded_one) else embedded_one
    second = ValkeyServer(tmp_path / "store", binary=other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("waitline.trial.valkey_server.ValkeyServer.STOP_S", 0.05)
        with pytest.raises(FolderInUseError, match="a server that is not ours uses"):
            second.start()
    assert store.alive


def test_a_deep_folder_gets_a_short_address(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 30) / 'odd "name" #1'
    valkey = ValkeyServer(folder)
    valkey.start()
    try:
        address = Path(valkey.url.removeprefix("unix://"))
        assert folder not in address.parents
        assert stat.S_IMODE(address.parent.stat().st_mode) == 0o700
        ask(valkey, "SET", "a", "1")
        valkey.stop()
        assert not address.parent.exists()
        valkey.start()
        assert ask(valkey, "GET", "a") == "1"
    finally:
        valkey.stop()


def test_an_odd_name_is_written_and_addressed_well(tmp_path: Path) -> None:
    valkey = ValkeyServer(tmp_path / 'a "b" #1 %20')
    valkey.start()
    try:
        assert ask(valkey, "ECHO", "here") == "here"
        assert (tmp_path / 'a "b" #1 %20' / "appendonlydir").is_dir()
    finally:
        valkey.stop()


def test_a_death_at_start_tells_its_reason_in_one_line(tmp_path: Path, binary: Path) -> None:
    valkey = ValkeyServer(tmp_path, binary=binary, args=("no-such-directive 1",))
    with pytest.raises(StartError) as failed:
        valkey.start()
    assert str(failed.value) == (
        f"{binary.name} died at start: Bad directive or wrong number of arguments"
        f" (see {tmp_path / 'valkey.log'})"
    )


def test_a_server_that_cannot_run_is_an_error_not_a_crash(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot start missing"):
        ValkeyServer(tmp_path, binary=tmp_path / "missing").start()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
