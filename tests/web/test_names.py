"""Names are text: through every call, command, page, file and metric, whatever they consist of."""

import io
import json
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import environment
from tests.until import until
from tests.web.stack import SOON_S, Room, Stack, refused, succeeded
from waitline import cli

NAMES = [
    pytest.param("[/bold]", id="closing-markup"),
    pytest.param("[bold red]sale[/]", id="markup"),
    pytest.param("[link=https://example.com]x[/link]", id="link"),
    pytest.param(":smile: tour", id="emoji-code"),
    pytest.param("👩\u200d👩\u200d👧 ❤\ufe0f", id="emoji-with-joiners"),
    pytest.param("봄\u3000콘서트\uff01", id="full-width"),
    pytest.param("Cafe\u0301 \u1112\u1161\u11ab", id="decomposed"),
    pytest.param("가" * 42, id="long-hangul"),
    pytest.param("%" * 128, id="long-once-quoted"),
    pytest.param("\u202egnp.exe", id="right-to-left-override"),
    pytest.param("a\u2028b\u2029c", id="line-separators"),
    pytest.param("=cmd|'/c calc'!A1", id="formula"),
    pytest.param('<script>alert("1")</script>', id="html"),
    pytest.param(".../~root/etc/passwd", id="path"),
    pytest.param('a"b\\c', id="label-escapes"),
    pytest.param("{a}{b}", id="hash-tags"),
    pytest.param("$x_{1}$ ${y} {{z}} %s {0}", id="formats"),
    pytest.param("a|b:c,d;e", id="separators"),
    pytest.param("?a=b&c#d", id="query"),
]


class Terminal:
    """Runs commands in this process, on a standard output of some encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stack: Stack, encoding: str) -> None:
        self.encoding = encoding
        self._monkeypatch = monkeypatch
        self._where = ("--data-dir", str(stack.data_dir))
        monkeypatch.setenv("COLUMNS", "1000")
        monkeypatch.setenv("NO_COLOR", "1")

    def run(self, *words: str, status: int = 0) -> str:
        """Run a command, check its exit status, and return what it printed."""
        printed = io.TextIOWrapper(io.BytesIO(), self.encoding, write_through=True)
        self._monkeypatch.setattr(sys, "stdout", printed)
        self._monkeypatch.setattr(sys, "stderr", printed)
        self._monkeypatch.setattr(sys, "argv", ["waitline", *words, *self._where])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(printed.buffer, io.BytesIO)
        # Click writes UTF-8 where the encoding is ASCII, which it takes for a mistake.
        text = printed.buffer.getvalue().decode(self.encoding, "replace")
        assert (ended.value.code or 0) == status, text
        return text


def removed(stack: Stack, name: str) -> Room:
    """Return a room by name, after removing what an earlier test left of it."""
    path = quote(name, safe="")
    stack.client.delete(f"/api/v1/rooms/{path}", params={"force": True}, headers=stack.operator)
    return Room(stack, name)


def harmless(text: str) -> bool:
    """Return whether a terminal prints a text without obeying any of it."""
    marks = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
    return not any(
        (unicodedata.category(char) == "Cc" and char != "\n") or char in marks for char in text
    )


# Names that each encoding prints otherwise; ASCII is the same in all. For the rest one narrow
# encoding is enough in the short run: what it lacks is written as an escape, as in the others.
DIFFERING = {"full-width", "decomposed"}

PRINTED = [
    pytest.param(
        name.values[0],
        encoding,
        id=f"{name.id}-{encoding}",
        marks=[pytest.mark.long]
        * (
            encoding != "utf-8"
            and name.id not in DIFFERING
            and (str(name.values[0]).isascii() or encoding != "ascii")
        ),
    )
    for name in NAMES
    for encoding in ("utf-8", "latin-1", "ascii", "cp949")
]


@pytest.mark.parametrize(("name", "encoding"), PRINTED)
def test_a_name_in_every_command(
    trial: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, encoding: str
) -> None:
    terminal = Terminal(monkeypatch, trial, encoding)
    normal = unicodedata.normalize("NFC", name)
    removed(trial, name)
    created = json.loads(terminal.run("rooms", "create", name, "--json"))
    assert created["room"] == normal
    texts = [
        terminal.run("rooms", "list"),
        terminal.run("rooms", "set", name, "--title", name[:90], "--message", name),
        terminal.run("rooms", "show", name),
        terminal.run("audit", "--room", name),
        terminal.run("report", "sale", "--room", name, "--out", str(tmp_path)),
        terminal.run("rooms", "create", name, status=2),
    ]
    assert all(map(harmless, texts))
    if harmless(normal) and terminal.run("rooms", "list", "--json").isascii():
        shown = normal.encode(terminal.encoding, "backslashreplace").decode(terminal.encoding)
        assert all(shown in text for text in texts[:5])
    files = sorted(path.name for path in tmp_path.iterdir())
    assert [Path(file).suffix for file in files] == [".html", ".json"]
    assert all(re.fullmatch(r"sale-[\w.~%-]{1,134}", file, re.ASCII) for file in files)
    figures = json.loads((tmp_path / files[1]).read_text("utf-8"))
    assert figures["room"] == normal
    page = (tmp_path / files[0]).read_text("utf-8")
    assert harmless(page)
    assert "<script" not in page
    texts = [
        terminal.run("rooms", "reset", name, "--yes"),
        terminal.run("rooms", "delete", name, "--yes"),
        terminal.run("rooms", "show", name, status=2),
        terminal.run("report", "sale", "--room", name, status=2),
    ]
    assert all(map(harmless, texts))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_every_call(trial: Stack, name: str) -> None:
    normal = unicodedata.normalize("NFC", name)
    room = removed(trial, name)
    headers = trial.operator
    body = {"room": name, "mode": "paused", "title": name[:90]}
    made = trial.client.post("/api/v1/rooms", json=body, headers=headers)
    assert succeeded(made, 201)["room"] == normal

    entered = succeeded(room.enter(name), 201)
    assert (entered["concertId"], entered["userId"], entered["isNewEntry"]) == (
        normal,
        normal,
        True,
    )
    again = succeeded(room.enter(normal), 201)
    assert (again["isNewEntry"], again["token"]) == (False, entered["token"])
    for spelling in (name, normal):
        found = trial.client.get(
            "/api/v1/queue/status",
            params={"concertId": spelling, "userId": spelling},
            headers={"X-Queue-Token": entered["token"]},
        )
        assert succeeded(found)["userId"] == normal
        path = quote(spelling, safe="")
        assert trial.client.get(f"/api/v1/rooms/{path}/now-serving").json()["room"] == normal
        assert trial.client.get(f"/rooms/{path}").status_code == 200
        shown = trial.client.get(f"/api/v1/rooms/{path}", headers=headers)
        assert succeeded(shown)["waiting"] == 1
    sent = trial.client.get("/rooms", params={"room": name}, follow_redirects=True)
    assert sent.status_code == 200
    path = quote(name, safe="")
    ended = trial.client.delete(f"/api/v1/rooms/{path}", params={"force": True}, headers=headers)
    assert succeeded(ended)["removed"] == 1


def test_every_name_in_the_metrics(trial: Stack) -> None:
    names = {unicodedata.normalize("NFC", str(name.values[0])) for name in NAMES}
    for name in names:
        room = removed(trial, name)
        body = {"room": name, "mode": "paused"}
        succeeded(trial.client.post("/api/v1/rooms", json=body, headers=trial.operator), 201)
        # Of many rooms the metrics have those with visitors.
        succeeded(room.enter("visitor"), 201)
    # They are rendered once a second for everybody.
    until(lambda: names <= rooms_scraped(trial), SOON_S, "the metrics name the rooms")
    for name in names:
        removed(trial, name)


def rooms_scraped(stack: Stack) -> set[str]:
    """Return the rooms that a metric names, of the many that name them all."""
    scraped = stack.client.get("/actuator/prometheus").text
    lines = [line for line in scraped.split("\n") if line.startswith("queue_active_limit{")]
    return {
        sample.labels["concert_id"]
        for family in text_string_to_metric_families("\n".join([*lines, ""]))
        for sample in family.samples
    }


@pytest.mark.parametrize("name", [".", "..", "a/../b", "a/now-serving"])
def test_no_room_that_no_address_leads_to(trial: Stack, name: str) -> None:
    body = {"room": name, "mode": "paused"}
    for made in (
        trial.client.post("/api/v1/rooms", json=body, headers=trial.operator),
        Room(trial, name).enter("visitor"),
    ):
        assert refused(made, 400, "C001")["type"] == "urn:waitline:problem:room-name-unreachable"
    listed = trial.client.get("/api/v1/rooms", headers=trial.operator)
    assert name not in succeeded(listed)["rooms"]


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_a_locale_without_unicode(trial: Stack, locale: str) -> None:
    room = removed(trial, "봄 [/bold] 👩\u200d💻 \u202e")
    body = {"room": room.name, "mode": "paused"}
    succeeded(trial.client.post("/api/v1/rooms", json=body, headers=trial.operator), 201)
    bare = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "300"}
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "waitline", "rooms", "list", "--data-dir", str(trial.data_dir)],
        env={**environment(), **bare},
        capture_output=True,
        timeout=SOON_S,
        check=True,
    )
    assert b"[/bold]" in done.stdout
    assert b"\\u202e" in done.stdout
    assert done.stderr == b""
    removed(trial, room.name)
