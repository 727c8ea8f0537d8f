import json
import multiprocessing
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.unit.rings import key
from tests.vectors.generate import ROOM, T0, VISITOR
from waitline.tokens.keyring import KEYS_MAX, PUBLISH_MS, Keyring, KeyringFull, RotatedTooSoon
from waitline.tokens.keyring_file import FILE_BYTES_MAX, REREAD_MS, KeyringError, KeyringFile, Keys
from waitline.tokens.proof import FORGED
from waitline.tokens.tickets import mint_ticket
from waitline.tokens.verification import verify_token

PROCESSES = 8
FORK = multiprocessing.get_context("fork")

# Seconds until processes have started and met, on a machine that runs other tests as well.
SOON_S = 60.0


@pytest.fixture
def file(tmp_path: Path) -> KeyringFile:
    return KeyringFile(tmp_path / "keys" / "ring.json")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def touched(file: KeyringFile, now_ms: int) -> None:
    """Give the file another time, however coarse the disk's clock is."""
    os.utime(file.path, ns=(now_ms * 1_000_000, now_ms * 1_000_000))


# Making, reading, rotating.


def test_first_start_makes_a_ring_that_signs_at_once(file: KeyringFile) -> None:
    ring = file.load_or_create(T0)
    (key,) = ring.keys
    assert (key.active_from_ms, len(key.ticket_secret), len(key.pass_seed)) == (T0, 32, 32)
    assert key.ticket_secret != key.pass_seed


def test_later_starts_find_the_same_ring(file: KeyringFile) -> None:
    ring = file.load_or_create(T0)
    assert ring == file.load_or_create(T0 + 1) == file.load() == KeyringFile(file.path).load()


def test_the_secrets_are_nobody_elses(file: KeyringFile) -> None:
    before = os.umask(0)
    try:
        file.load_or_create(T0)
        file.rotate(T0)
    finally:
        os.umask(before)
    assert mode(file.path.parent) == 0o700
    assert [mode(path) for path in file.path.parent.iterdir()] == [0o600, 0o600]


def test_two_rings_share_no_secret(tmp_path: Path) -> None:
    (one,) = KeyringFile(tmp_path / "one").load_or_create(T0).keys
    (two,) = KeyringFile(tmp_path / "two").load_or_create(T0).keys
    assert one.kid != two.kid
    assert not {one.ticket_secret, one.pass_seed} & {two.ticket_secret, two.pass_seed}


def test_rotation_is_on_disk_when_it_returns(file: KeyringFile) -> None:
    first = file.load_or_create(T0)
    ring = file.rotate(T0 + 1)
    assert ring == file.load()
    assert ring.keys[:-1] == first.keys
    assert ring.keys[-1].active_from_ms == T0 + 1 + PUBLISH_MS
    assert names(file.path.parent) == ["ring.json", "ring.json.lock"]


def test_a_full_ring_fits_into_the_file(file: KeyringFile) -> None:
    """The file itself rotates as often as it may; the first key still verifies what it signed."""
    ring = file.load_or_create(T0)
    ticket = mint_ticket(ring, ROOM, VISITOR, 5, T0)
    ring = Keyring(tuple(key(n, T0 - KEYS_MAX + n) for n in range(KEYS_MAX - 2)) + ring.keys)
    file._write(ring)  # noqa: SLF001 - hundreds of rotations would each wait for the disk
    file.rotate(T0 + PUBLISH_MS)
    assert file.path.stat().st_size < FILE_BYTES_MAX
    with pytest.raises(KeyringFull):
        file.rotate(T0 + 3 * PUBLISH_MS)
    assert len(file.load().keys) == KEYS_MAX
    assert verify_token(file.load(), ROOM, VISITOR, ticket).genuine


def test_revoking_takes_the_key_from_the_file(file: KeyringFile) -> None:
    ring = file.load_or_create(T0)
    kid = ring.keys[0].kid
    ticket = mint_ticket(ring, ROOM, VISITOR, 5, T0)
    keys = Keys(file, T0)
    file.rotate(T0)
    file.revoke(kid, T0 + PUBLISH_MS)
    assert verify_token(keys.ring(T0 + PUBLISH_MS), ROOM, VISITOR, ticket) == FORGED


def test_a_second_rotation_at_once_changes_nothing(file: KeyringFile) -> None:
    file.load_or_create(T0)
    ring = file.rotate(T0)
    with pytest.raises(RotatedTooSoon):
        file.rotate(T0)
    assert file.load() == ring


def test_a_failed_write_leaves_the_old_ring(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = file.load_or_create(T0)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(KeyringError, match=r"cannot be written \(No space left on device\)"):
        file.rotate(T0)
    assert file.load() == ring
    assert names(file.path.parent) == ["ring.json", "ring.json.lock"]


# Several processes at once.


def made_at_once(path: Path) -> set[str]:
    """Start `PROCESSES` processes that all find no ring; return the keys they come to use."""
    ready = FORK.Barrier(PROCESSES)
    found: Any = FORK.Queue()

    def start() -> None:
        ready.wait(SOON_S)
        found.put(KeyringFile(path).load_or_create(T0).keys[0].kid)

    processes = [FORK.Process(target=start) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    kids = {found.get(timeout=SOON_S) for _ in processes}
    for process in processes:
        process.join(SOON_S)
    return kids


def test_processes_that_start_at_once_share_one_ring(tmp_path: Path) -> None:
    for attempt in range(5):
        assert len(made_at_once(tmp_path / str(attempt) / "ring.json")) == 1


def test_the_race_is_real_without_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: if this fails, the test above proves nothing."""

    looked, turn = FORK.Barrier(PROCESSES), FORK.Lock()
    write, load = KeyringFile._write, KeyringFile.load  # noqa: SLF001 - what the lock keeps apart

    @contextmanager
    def unlocked(file: KeyringFile) -> Iterator[None]:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        yield

    def write_in_turn(file: KeyringFile, ring: Keyring) -> None:
        # All have looked before one writes, and each uses what it has written, on every machine.
        looked.wait(SOON_S)
        turn.acquire()
        write(file, ring)

    def load_in_turn(file: KeyringFile) -> Keyring:
        ring = load(file)
        turn.release()
        return ring

    monkeypatch.setattr(KeyringFile, "_locked", unlocked)
    monkeypatch.setattr(KeyringFile, "_write", write_in_turn)
    monkeypatch.setattr(KeyringFile, "load", load_in_turn)
    assert len(made_at_once(tmp_path / "ring.json")) == PROCESSES


# What cannot be used is refused, and left as it is.


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(text: bytes) -> bytes:
        content = json.loads(text)
        change(content)
        return json.dumps(content).encode()

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda text: text[:-20], id="cut short"),
        pytest.param(lambda _: b"\xff\xfe", id="not text"),
        pytest.param(lambda _: b"[" * FILE_BYTES_MAX, id="nested"),
        pytest.param(lambda text: text + b" " * FILE_BYTES_MAX, id="too long"),
        pytest.param(edited(lambda c: c.update(version=2)), id="another version"),
        pytest.param(edited(lambda c: c.pop("version")), id="no version"),
        pytest.param(edited(lambda c: c.update(more=1)), id="unknown field"),
        pytest.param(edited(lambda c: c.update(keys=[])), id="no keys"),
        pytest.param(edited(lambda c: c["keys"].append(c["keys"][0])), id="one key twice"),
        pytest.param(edited(lambda c: c["keys"][0].update(pass_seed="AAAA")), id="short seed"),
        pytest.param(edited(lambda c: c["keys"][0].update(pass_seed="?")), id="not base64"),
        pytest.param(edited(lambda c: c["keys"][0].update(kid="a.b")), id="bad name"),
    ],
)
def test_damage(file: KeyringFile, damage: Callable[[bytes], bytes]) -> None:
    file.load_or_create(T0)
    secret = json.loads(file.path.read_bytes())["keys"][0]["ticket_secret"]
    damaged = damage(file.path.read_bytes())
    file.path.write_bytes(damaged)
    for use in (file.load, lambda: file.load_or_create(T0), lambda: file.rotate(T0)):
        with pytest.raises(KeyringError, match=r"is damaged .*restore it from a backup") as refusal:
            use()
        assert "\n" not in str(refusal.value)
        assert secret not in str(refusal.value)
    assert file.path.read_bytes() == damaged


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_open_to_others_is_refused(file: KeyringFile, bits: int) -> None:
    file.load_or_create(T0)
    file.path.chmod(bits)
    with pytest.raises(KeyringError, match=f"has mode {bits:04o}.*chmod 600 {file.path}"):
        file.load()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of root")
@pytest.mark.parametrize(("bits", "allowed"), [(0o440, True), (0o640, True), (0o444, False),
                                               (0o460, False), (0o450, False)])  # fmt: skip
def test_a_file_of_root_may_be_readable_by_the_group_of_another_user(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch, bits: int, *, allowed: bool
) -> None:
    ring = file.load_or_create(T0)
    file.path.chmod(bits)
    monkeypatch.setattr(os, "geteuid", lambda: 10_001)
    if allowed:
        assert file.load() == ring
    else:
        with pytest.raises(KeyringError, match=f"has mode {bits:04o}"):
            file.load()


def test_a_read_only_file_is_fine(file: KeyringFile) -> None:
    ring = file.load_or_create(T0)
    file.path.chmod(0o400)
    assert file.load() == ring


def test_missing(file: KeyringFile) -> None:
    with pytest.raises(KeyringError, match="is missing: restore it"):
        file.load()
    file.path.parent.mkdir()
    with pytest.raises(KeyringError, match="is missing: restore it"):
        file.rotate(T0)


def test_a_directory_in_its_place(file: KeyringFile) -> None:
    file.path.mkdir(parents=True)
    with pytest.raises(KeyringError, match=r"cannot be read \(Is a directory\)"):
        file.load_or_create(T0)


def test_a_file_in_the_place_of_its_directory(file: KeyringFile) -> None:
    file.path.parent.write_text("")
    with pytest.raises(KeyringError, match="cannot be written"):
        file.load_or_create(T0)


# A worker's live view.


def test_a_worker_learns_of_a_rotation_within_a_second(file: KeyringFile) -> None:
    keys = Keys(file, T0)
    old = keys.current
    new = file.rotate(T0)
    assert keys.ring(T0 + REREAD_MS - 1) == old
    assert keys.ring(T0 + REREAD_MS) == new == keys.current


def test_workers_read_each_others_tokens_through_a_rotation(file: KeyringFile) -> None:
    """Every 100 ms, with workers that look half a second apart."""
    workers = [Keys(file, T0), Keys(file, T0 + 500)]
    kids = set()
    for now_ms in range(T0, T0 + 2 * PUBLISH_MS, 100):
        if now_ms == T0 + 1_300:
            file.rotate(now_ms)
        for minter, reader in (workers, workers[::-1]):
            ticket = mint_ticket(minter.ring(now_ms), ROOM, VISITOR, 5, now_ms)
            assert verify_token(reader.ring(now_ms), ROOM, VISITOR, ticket).genuine
            kids.add(ticket.split(".")[1])
    assert len(kids) == 2


def test_a_worker_reads_only_what_changed(
    file: KeyringFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(file, T0)
    loads: list[Keyring] = []
    load = file.load

    def counted() -> Keyring:
        loads.append(load())
        return loads[-1]

    monkeypatch.setattr(file, "load", counted)
    for now_ms in range(T0, T0 + 5_000, 100):
        keys.ring(now_ms)
    assert loads == []
    touched(file, T0)
    for now_ms in range(T0 + 5_000, T0 + 10_000, 100):
        keys.ring(now_ms)
    assert len(loads) == 1


def test_a_clock_set_back_does_not_blind_a_worker(file: KeyringFile) -> None:
    keys = Keys(file, T0)
    new = file.rotate(T0)
    assert keys.ring(T0 - 3_600_000) == new


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        pytest.param(lambda path: path.write_text("{"), "is damaged", id="damaged"),
        pytest.param(lambda path: path.unlink(), "is missing", id="gone"),
        pytest.param(lambda path: path.chmod(0o644), "chmod 600", id="open to others"),
    ],
)
def test_a_worker_keeps_its_ring_when_the_file_goes_bad(
    file: KeyringFile, harm: Callable[[Path], object], reason: str
) -> None:
    keys = Keys(file, T0)
    old = keys.current
    text = file.path.read_bytes()
    harm(file.path)
    with capture_logs() as logs:
        for now_ms in range(T0, T0 + 10_000, 500):
            assert keys.ring(now_ms) == old
    assert [(log["event"], log["log_level"]) for log in logs] == [("keyring_unreadable", "warning")]
    assert reason in logs[0]["reason"]
    file.path.write_bytes(text)
    file.path.chmod(0o600)
    new = file.rotate(T0 + 10_000)
    assert keys.ring(T0 + 11_000) == new


def test_a_worker_does_not_start_without_good_keys(file: KeyringFile) -> None:
    file.load_or_create(T0)
    file.path.write_text("{")
    with pytest.raises(KeyringError, match="is damaged"):
        Keys(file, T0)
