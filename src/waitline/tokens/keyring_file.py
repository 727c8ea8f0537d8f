"""Key file: the keyring on disk, created at the first start and shared by a machine's workers.

The rules of keys are in `keyring`; this module stores them and generates the secrets. The file is
replaced atomically, so a reader sees the old ring or the new one.
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

from waitline.kernel import telemetry
from waitline.kernel.clock import Clock
from waitline.kernel.errors import WaitlineError
from waitline.kernel.periodic import periodic
from waitline.tokens.keyring import (
    SECRET_BYTES,
    Key,
    Keyring,
    revoke,
    rotate,
)

FILE_BYTES_MAX: Final = 128 * 1024
"""Longest file that is read; `KEYS_MAX` keys take about 100 000 bytes. A longer one is not a
keyring, and reading it would block the worker."""

REREAD_MS: Final = 1_000
"""Polling interval of the file, in ms. Must be well below `keyring.PUBLISH_MS`, or a worker gets
tokens of a key that it has not loaded yet."""

_KID_BYTES: Final = 4
"""Random bytes in a key's name. The chance of a collision with one of `KEYS_MAX` is one in eight
million; the rotation is then refused."""

log = structlog.get_logger()


class KeyringError(WaitlineError):
    """The key file cannot be used; the message is one line with the remedy."""


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    """The file: JSON, secrets in base64.

    Attributes:
        version: Version of the format. A reader of another version refuses the file.
        keys: As in `Keyring`.
    """

    version: Literal[1]
    keys: tuple[Key, ...]


class FileVersion(NamedTuple):
    """Identity of the file's content: differs after every change."""

    inode: int
    mtime_ns: int
    size: int
    mode: int


class KeyringFile:
    """The ring on disk. Every method does blocking I/O.

    Attributes:
        path: The file. Beside it are a `.lock` and, briefly, the next version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load_or_create(self, now_ms: int) -> Keyring:
        """Return the ring; create it if there is none. Concurrent processes create one.

        A damaged file is never replaced: visitors hold tokens that it signed.

        Raises:
            KeyringError: The file cannot be used, or cannot be created.
        """
        if self.version() is None:
            with self._locked():
                # Another process may have created it while this one waited for the lock.
                if self.version() is None:
                    self._write(Keyring((Key(*_drawn(), active_from_ms=now_ms),)))
        return self.load()

    def load(self) -> Keyring:
        """Load the ring from disk.

        Raises:
            KeyringError: The file is missing, unreadable, damaged, or open to others.
        """
        try:
            with self.path.open("rb") as file:
                seen = os.fstat(file.fileno())
                text = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            raise KeyringError(
                f"{self.path} is missing: restore it from a backup, or start Waitline to make one"
            ) from None
        except OSError as error:
            raise KeyringError(
                f"{self.path} cannot be read ({error.strerror}): give it to the user of Waitline"
            ) from error
        mode = stat.S_IMODE(seen.st_mode)
        if mode & (_OPEN_OF_ROOT if seen.st_uid == 0 != os.geteuid() else _OPEN):
            raise KeyringError(
                f"{self.path} has mode {mode:04o}, so others can read the secrets: "
                f"chmod 600 {self.path}, and rotate the keys if somebody may have"
            )
        if len(text) > FILE_BYTES_MAX:
            raise self._damaged(f"longer than {FILE_BYTES_MAX} bytes")
        try:
            return Keyring(msgspec.json.decode(text, type=_Stored).keys)
        # The parser's messages contain no values, so no secret reaches a log.
        except ValueError as error:
            raise self._damaged(str(error)) from None

    def rotate(self, now_ms: int) -> Keyring:
        """Add a key with new secrets; return the new ring.

        Raises:
            KeyringError: The file cannot be used or replaced.
            KeyringFull: There are `KEYS_MAX` keys, all of them needed.
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

    def revoke(self, kid: str, now_ms: int) -> Keyring:
        """Remove a superseded key; return the new ring.

        Raises:
            KeyringError: The file cannot be used or replaced.
            KeyUnknown: There is no such key.
            KeyInUse: It signs now, or will.
        """
        with self._locked():
            ring = revoke(self.load(), kid, now_ms)
            self._write(ring)
        return ring

    def version(self) -> FileVersion | None:
        """Return the file's version, or `None` if it is missing or inaccessible."""
        try:
            seen = self.path.stat()
        except OSError:
            return None
        return FileVersion(seen.st_ino, seen.st_mtime_ns, seen.st_size, seen.st_mode)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            # The directory is private too: a user who may write there could replace the ring. The
            # mode of an existing directory is left to the operator.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(self.path.name + ".lock"), _LOCK_FLAGS, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            # Held while one small file is written; the system releases it if the holder dies.
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
        """Make the rename durable: visitors get tokens of this ring at once."""
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
    """A worker's copy of the ring in memory, about a second old at most.

    If the file becomes unusable while the worker runs, the worker logs that and keeps its copy.

    Attributes:
        current: The ring as last loaded.
    """

    current: Keyring

    def __init__(self, file: KeyringFile, now_ms: int) -> None:
        """Load the ring; create it if there is none.

        Raises:
            KeyringError: The file cannot be used.
        """
        self._file = file
        self._looked_ms = now_ms
        file.load_or_create(now_ms)
        # Version before content: a change in between is then loaded again. In the other order it
        # would be missed.
        self._version = file.version()
        self.current = file.load()
        self._fault: str | None = None

    def ring(self, now_ms: int) -> Keyring:
        """Return the ring, reloaded if `REREAD_MS` have passed and the file has changed.

        Loading blocks the caller for about 1 ms at most, once per rotation.
        """
        # The lower bound: a clock set back must not stop the checks.
        if not 0 <= now_ms - self._looked_ms < REREAD_MS:
            self._looked_ms = now_ms
            self._reload()
        return self.current

    def record_age(self, clock: Clock) -> None:
        """Set the metric of the age of the key that signs."""
        now_ms = clock.now_ms()
        age_ms = now_ms - self.current.signing(now_ms).active_from_ms
        telemetry.KEY_AGE_SECONDS.set(max(0, age_ms) / 1000)

    async def watch(self, clock: Clock) -> Never:
        """Check the file each second until cancelled, which keeps `current` up to date."""

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
            # One line per fault, not one per second.
            if str(error) != self._fault:
                self._fault = str(error)
                log.warning(
                    "keyring_unreadable", reason=self._fault, kept=list(self.current.by_kid)
                )
            return
        self.current, self._version, self._fault = ring, version, None
        log.info("keyring_loaded", kids=list(ring.by_kid))


_OPEN: Final = 0o077
_OPEN_OF_ROOT: Final = 0o037
"""Modes with which others than we can use the file. One of root may be readable by our group: so
orchestrators mount secrets. Source: PostgreSQL's rule for its private key (ssl_key_file)."""

_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def _drawn() -> tuple[str, bytes, bytes]:
    """Generate a key's name, ticket secret and pass seed."""
    return (
        secrets.token_hex(_KID_BYTES),
        secrets.token_bytes(SECRET_BYTES),
        secrets.token_bytes(SECRET_BYTES),
    )
