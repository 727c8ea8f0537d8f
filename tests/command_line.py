"""`waitline` in this process: starting an interpreter for each command would take longer."""

import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

import pytest

from waitline import cli


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()


Run = Callable[..., Ended]


def run_with(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command as the shell would."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: object) -> Ended:
        return Ended(_run(*words), *capsys.readouterr())

    return run


def run_captured(*words: object, main: Callable[[], None] = cli.main) -> Ended:
    """Run a command as the shell would, also outside a test; `main` is its entry point."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = _run(*words, main=main)
    return Ended(code, out.getvalue(), err.getvalue())


def _run(*words: object, main: Callable[[], None] = cli.main) -> int:
    with (
        # A service exports its settings for its workers.
        patch.dict("os.environ"),
        patch.object(sys, "argv", ["waitline", *map(str, words)]),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return int(ended.value.code or 0)
