"""What a command prints is for programs: its log goes to standard error."""

import logging

import pytest
import structlog
import typer

from waitline import cli


def test_the_log_is_not_in_the_output(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["waitline"])
    app = typer.Typer()

    @app.command()
    def command() -> None:
        structlog.get_logger().warning("store_unreachable")
        typer.echo("{}")

    before = logging.root.handlers[:]
    try:
        with pytest.raises(SystemExit):
            cli.run(app)
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = before
    out, err = capfd.readouterr()
    assert out == "{}\n"
    assert "store_unreachable" in err
