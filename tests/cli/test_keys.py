"""`waitline keys create`: the file of signing keys, once."""

import json
import re
from pathlib import Path

import pytest

from tests.command_line import Run

DOCS = Path(__file__).parents[2] / "docs"
KEYS_LINE = re.compile(r"^ *waitline (keys [^#\n]*)", re.MULTILINE)
KEYS_FILE = re.compile(r"[\w-]+/keys/keys\.json")


def test_it_makes_one_file_and_keeps_it(run: Run, tmp_path: Path) -> None:
    status, out, err = run("keys", "create", "--data-dir", tmp_path, "--json")
    assert status == 0
    file = tmp_path / "keys" / "keys.json"
    assert str(file) in err
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()
    (key,) = json.loads(out)
    assert key["use"] == "signs"
    assert run("keys", "create", "--data-dir", tmp_path, "--json")[1] == out
    assert file.read_bytes() == before
    secrets = json.loads(before)["keys"][0]
    assert secrets["ticket_secret"] not in out + err


@pytest.mark.parametrize("page", ["aws.md", "kubernetes.md", "servers.md"])
def test_a_page_that_deploys_makes_the_file_that_it_names(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    text = (DOCS / page).read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    for line in KEYS_LINE.findall(text):
        ended = run(*line.split())
        assert ended.code == 0, f"{page}: waitline {line}: {ended.err}"
    named = {name for name in KEYS_FILE.findall(text) if not name.startswith("waitline/")}
    assert named
    assert named == {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("keys.json")}


def test_every_page_with_a_line_of_keys_is_among_them() -> None:
    pages = {page.name for page in DOCS.glob("*.md") if KEYS_LINE.search(page.read_text("utf-8"))}
    assert pages == {"aws.md", "kubernetes.md", "servers.md"}
