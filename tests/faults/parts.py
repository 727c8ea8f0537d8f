"""Processes of an installation, as a service manager runs them: killed and started again."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from typing_extensions import override

from tests.faults.network import Host
from tests.faults.stack import SOON_S, START_S, family, runs
from tests.processes import environment
from tests.until import until
from waitline.trial import PostgresServer

POSTGRES_PORT = 5432


class Part:
    """One process, as a service manager runs it: killed, it is started again by `start`.

    Attributes:
        name: Its name, unique in the site.
        host: Where it runs.
    """

    def __init__(
        self, name: str, host: Host, argv: Sequence[str | Path], env: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.host = host
        self._argv = [str(word) for word in argv]
        self._env = {**environment(), **env}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.host.entered(), self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self._argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pids(self) -> list[int]:
        """Itself and its children, the parent first."""
        assert self._process is not None
        return family(self._process.pid)

    @property
    def workers(self) -> list[int]:
        """The processes that serve clients, if it has such."""
        return [pid for pid in self.pids if b"spawn_main" in _command(pid)]

    def kill(self) -> None:
        """Kill it with all its processes, as a service manager and the kernel do."""
        pids = self.pids
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        until(lambda: not any(map(runs, pids)), SOON_S, f"{self.name} is dead")

    def end(self) -> None:
        if self.alive:
            assert self._process is not None
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SOON_S)
                return
            self.kill()

    @property
    def output(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""


class DatabasePart(Part):
    """PostgreSQL, which is prepared at its first start."""

    def __init__(self, host: Host, folder: Path) -> None:
        super().__init__("postgres", host, (), {}, folder / "postgres.log")
        rules = folder.parent / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all all 10.77.0.0/24 trust\n", "utf-8")
        args = (
            f"listen_addresses={host.address}", f"hba_file={rules}",
            "shared_buffers=32MB", "min_wal_size=32MB", "max_wal_size=64MB",
        )  # fmt: skip
        self._server = PostgresServer(folder, fsync=False, args=args)

    @override
    def start(self) -> None:
        with self.host.entered():
            self._server.start(START_S)

    @property
    @override
    def alive(self) -> bool:
        return self._server.alive

    @property
    @override
    def pids(self) -> list[int]:
        return family(self._server.pid)

    @override
    def kill(self) -> None:
        self._server.kill()

    @override
    def end(self) -> None:
        self._server.stop()


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
