"""The keyring's file: made at first start, shared by a machine's workers, read when it changes.

The rules of keys are in `keyring`; this module keeps them on disk, and draws the secrets. The
file is replaced whole, never written in place, so a reader sees the old ring or the new one.
"""

import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, Never

import msgspec
import structlog

from waitline.kernel.clock import Clock
from waitline.kernel.errors import WaitlineError
from waitline.kernel.periodic import periodic
from waitline.tokens.keyring import (
    SECRET_BYTES,
    Key,
    Keyring,
    rotate,
)

FILE_BYTES_MAX: Final = 64 * 1024
"""Bytes of the longest file worth reading; eight keys take about 1 500. More is no keyring, and
reading it would hold up the worker."""

REREAD_MS: Final = 1_000
"""How long, in ms, a worker trusts the ring it has. Must stay well below `keyring.PUBLISH_MS`, or
a worker meets tokens of a key that it has not read yet."""

_KID_BYTES: Final = 4
"""Random bytes in a key's name: a chance of one in 500 million to draw one of eight again, and
then the rotation is refused, not wrong."""

log = structlog.get_logger()


class KeyringError(WaitlineError):
    """The file of keys cannot be used; the text says what to do, in one line."""


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """The file: JSON, secrets in base64.

    Attributes:
        version: Of this form. A reader of another version refuses the file.
        keys: As in `Keyring`.
    """

    version: Literal[1]
    keys: tuple[Key, ...]


class FileVersion(NamedTuple):
    """What changes when the file does."""

    inode: int
    mtime_ns: int
    size: int
    mode: int


class KeyringFile:
    """The ring on disk. Every method blocks for as long as the disk takes.

    Attributes:
        path: The file. Beside it are a `.lock` and, for a moment, the next version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load_or_create(self, now_ms: int) -> Keyring:
        """Return the ring, made now if there is none: one, however many processes ask at once.

        A damaged file is never replaced: the tokens that it signed are in people's hands.

        Raises:
            KeyringError: There is a file that cannot be used, or none can be made.
        """
        if self.version() is None:
            with self._locked():
                # Another process may have made it while this one waited for the lock.
                if self.version() is None:
                    self._write(Keyring((Key(*_drawn(), active_from_ms=now_ms),)))
        return self.load()

    def load(self) -> Keyring:
        """Return the ring as it is on disk.

        Raises:
            KeyringError: The file is missing, unreadable, damaged, or open to others.
        """
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise KeyringError(
                f"{self.path} is missing: restore it from a backup, or start Waitline to make one"
            ) from None
        except OSError as error:
            raise KeyringError(
                f"{self.path} cannot be read ({error.strerror}): give it to the user of Waitline"
            ) from error
        if mode & 0o077:
            raise KeyringError(
                f"{self.path} has mode {mode:04o}, so others can read the secrets: "
                f"chmod 600 {self.path}, and rotate the keys if somebody may have"
            )
        if len(text) > FILE_BYTES_MAX:
            raise self._damaged(f"longer than {FILE_BYTES_MAX} bytes")
        try:
            return Keyring(msgspec.json.decode(text, type=_Stored).keys)
        # The parser's texts name fields, never their values, so no secret reaches a log.
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def rotate(self, now_ms: int) -> Keyring:
        """Add a key with new secrets, and return the ring that has it.

        Raises:
            KeyringError: The file cannot be used or replaced.
            RotatedTooSoon: The key added last does not sign yet.
        """
        with self._locked():
            kid, ticket_secret, pass_seed = _drawn()
            ring = rotate(
                self.load(),
                kid=kid,
                ticket_secret=ticket_secret,
                pass_seed=pass_seed,
                now_ms=now_ms,
            )
            self._write(ring)
        return ring

    def version(self) -> FileVersion | None:
        """Return what changes when the file does, or `None` if it cannot be seen."""
        try:
            seen = self.path.stat()
        except OSError:
            return None
        return FileVersion(seen.st_ino, seen.st_mtime_ns, seen.st_size, seen.st_mode)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            # The keys' directory is private as well, since a user who may write there could put
            # another ring in the place of this one. An existing one is the operator's business.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), _LOCK_FLAGS, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            # Held for as long as one small file takes to write; the system frees it if the
            # holder dies.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, ring: Keyring) -> None:
        stored = msgspec.json.encode(_Stored(version=1, keys=ring.keys))
        try:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor has no path
                    file.write(msgspec.json.format(stored, indent=2) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(name).unlink()
                raise
            self._sync_directory()
        except OSError as error:
            raise self._unwritable(error) from error

    def _sync_directory(self) -> None:
        """Make the new name survive a power cut: visitors hold tokens of this ring at once."""
        directory = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _damaged(self, reason: str) -> KeyringError:
        return KeyringError(
            f"{self.path} is damaged ({reason}): restore it from a backup, or delete it "
            "and have every visitor enter again"
        )

    def _unwritable(self, error: OSError) -> KeyringError:
        return KeyringError(
            f"{self.path} cannot be written ({error.strerror}): "
            f"let the user of Waitline write to {self.path.parent}"
        )


class Keys:
    """A worker's view of the file: the ring in memory, at most about a second old.

    A file that goes bad while the worker runs changes nothing but the log: turning everybody
    away would help nobody.

    Attributes:
        current: The ring as last read.
    """

    current: Keyring

    def __init__(self, file: KeyringFile, now_ms: int) -> None:
        """Read the ring, making it if there is none.

        Raises:
            KeyringError: The file cannot be used. At the start that stops the worker.
        """
        self._file = file
        self._looked_ms = now_ms
        file.load_or_create(now_ms)
        # The version is read before the text is read: a change in between is then read once
        # more, where the other order would miss it for good.
        self._version = file.version()
        self.current = file.load()
        self._fault: str | None = None

    def ring(self, now_ms: int) -> Keyring:
        """Return the ring, read again if `REREAD_MS` have passed and the file has changed.

        Reading blocks the caller for some 100 µs, once per rotation.
        """
        # A clock set back must not keep the worker from looking until it has caught up.
        if not 0 <= now_ms - self._looked_ms < REREAD_MS:
            self._looked_ms = now_ms
            self._reload()
        return self.current

    async def watch(self, clock: Clock) -> Never:
        """Look at the file each second until cancelled, so that `current` is good for use."""

        async def check_file() -> None:
            self._looked_ms = clock.now_ms()
            self._reload()

        await periodic("keyring_watch", check_file, REREAD_MS / 1000)

    def _reload(self) -> None:
        version = self._file.version()
        if version == self._version:
            self._fault = None
            return
        try:
            ring = self._file.load()
        except KeyringError as error:
            # One line per fault, not one per second and worker.
            if str(error) != self._fault:
                self._fault = str(error)
                log.warning(
                    "keyring_unreadable", reason=self._fault, kept=list(self.current.by_kid)
                )
            return
        self.current, self._version, self._fault = ring, version, None
        log.info("keyring_loaded", kids=list(ring.by_kid))


_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def _drawn() -> tuple[str, bytes, bytes]:
    """Draw a key's name, ticket secret and pass seed."""
    return (
        secrets.token_hex(_KID_BYTES),
        secrets.token_bytes(SECRET_BYTES),
        secrets.token_bytes(SECRET_BYTES),
    )
