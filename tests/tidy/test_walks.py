"""The five walks of CONTRIBUTING name files that exist, and as many steps as they promise."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Five common changes\n")[2]
WALKS = re.findall(r"^### ([^\n]+): (\d+) files\n(.+?)(?=^### |\Z)", TEXT, re.MULTILINE | re.DOTALL)

# What a commit of the kind is to touch, at most.
FILES_MAX = {
    "A refusal": 3, "A room setting": 4, "A verb": 9, "A payment provider": 4, "A page": 2,
}  # fmt: skip

PATH = re.compile(r"`((?:src|tests|docs|requirements)/[\w/.-]+|[\w-]+\.(?:toml|md)|queue/[\w/.]+)`")


def test_there_are_five_walks_and_none_is_longer_than_promised() -> None:
    assert {name: int(files) for name, files, _ in WALKS} == FILES_MAX
    for name, files, text in WALKS:
        assert len(re.findall(r"^\d+\. `", text, re.MULTILINE)) == int(files), name


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, _, text in WALKS])
def test_its_files_exist(name: str, text: str) -> None:
    named = PATH.findall(text)
    assert named, name
    for path in named:
        full = ROOT / ("src/waitline" if path.startswith("queue/") else ".") / path
        assert full.parent.is_dir(), path
        assert full.exists() or "NAME" in path, path
