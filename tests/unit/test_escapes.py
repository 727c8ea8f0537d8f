"""Escapes of text: what a terminal would obey, and names of files."""

import io
import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from waitline.kernel.escapes import FILE_NAME_CHARS_MAX, file_name, json_line, visible
from waitline.kernel.process import log_to_stderr
from waitline.kernel.terminal import Terminal, styled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [/bold] :smile:", "plain [/bold] :smile:"),
        ("봄\u3000👩\u200d💻 ❤\ufe0f", "봄\u3000👩\u200d💻 ❤\ufe0f"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\r\n", "a\\x0ab\\x0d\\x0a"),
        ("\x9b31m", "\\x9b31m"),
        ("a\x7f", "a\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u2028b", "a\\u2028b"),
        ("a\udc80", "a\\udc80"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_lines_may_stay() -> None:
    assert visible("a\nb\tc", multiline=True) == "a\nb\\x09c"


@given(st.text(st.characters(codec="utf-8"), max_size=128))
def test_names_of_files_are_short_and_portable(text: str) -> None:
    name = file_name(text)
    assert len(name) <= FILE_NAME_CHARS_MAX
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-~%")


def test_long_names_of_files_stay_different() -> None:
    names = {file_name("가" * 41 + last) for last in "abc"}
    assert len(names) == 3
    assert all(len(name) <= FILE_NAME_CHARS_MAX for name in names)


def test_a_terminal_prints_texts_as_they_are() -> None:
    console = Terminal(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    console.print("[/bold] :smile: \x1b[2J\u202e")
    console.print(styled("[red]", ("\x1b[2J", "")))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "[/bold] :smile: \\x1b[2J\\u202e\n[red]\\x1b[2J\n"


@pytest.mark.parametrize("pretty", [False, True])
def test_a_log_line_is_one_line(monkeypatch: pytest.MonkeyPatch, *, pretty: bool) -> None:
    printed = io.StringIO()
    monkeypatch.setattr(printed, "isatty", lambda: pretty)
    monkeypatch.setattr("sys.stderr", printed)
    monkeypatch.setattr("waitline.kernel.process.STREAM", printed)
    before = logging.root.handlers[:]
    try:
        log_to_stderr()
        structlog.get_logger().warning("room_visit_failed", room="a\nb\x1b[2J\u202e\u2028")
    finally:
        structlog.reset_defaults()
        logging.root.handlers[:] = before
    text = printed.getvalue()
    assert len(text.splitlines()) == 1
    assert "\u202e" not in text
    if not pretty:
        assert text.isascii()
        assert json.loads(text)["room"] == "a\nb\x1b[2J\u202e\u2028"


@given(st.text(st.characters(codec="utf-8")))
def test_a_line_of_json_is_one_in_every_encoding(text: str) -> None:
    line = json_line({"name": text})
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"name": text}
