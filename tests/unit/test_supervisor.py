"""The supervisor: what the system refuses for a while does not stop the installation."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from waitline.kernel.terminal import Terminal
from waitline.trial.supervisor import ManagedProcess, Supervisor

REFUSED = OSError(24, "Too many open files")


class Closed(io.StringIO):
    """An output that nobody reads any more."""

    @override
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def supervisor_of(folder: Path, output: io.StringIO) -> tuple[Supervisor, ManagedProcess]:
    made = Supervisor(folder, Terminal(file=output))
    managed = ManagedProcess("worker", ["--version"])
    managed.process = subprocess.Popen([sys.executable, "-c", ""])
    managed.process.wait()
    made._waves = [[managed]]  # noqa: SLF001 - as if it had started it
    return made, managed


def test_a_process_that_cannot_be_started_now_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.StringIO()
    made, managed = supervisor_of(tmp_path, output)
    started: list[Any] = []

    def refuse(*_words: object, **_options: object) -> None:
        started.append(None)
        raise REFUSED

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", refuse)
        for _ in range(20):
            made._check_all()  # noqa: SLF001
    assert len(started) == 20
    assert managed.process is None
    said = output.getvalue().splitlines()
    assert said == ["worker exited; restarting it", f"worker: {REFUSED}; trying again"]
    made._environment = {}  # noqa: SLF001
    made._check_all()  # noqa: SLF001
    assert managed.process is not None
    managed.process.kill()
    managed.process.wait()


def test_an_output_that_nobody_reads_does_not_stop_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, managed = supervisor_of(tmp_path, Closed())
    monkeypatch.setattr(made, "_spawn", lambda _managed: None)
    made._check_all()  # noqa: SLF001
    assert managed.process is None
