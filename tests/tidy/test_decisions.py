"""Decision records: each number is given once, and every mention leads to one."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "docs/decisions").glob("*.md"))
NUMBERS = [path.name[:4] for path in RECORDS]
MENTION = re.compile(r"\bdecision (\d{4})\b")
LINK = re.compile(r"decisions/([\w-]+\.md)")


def test_a_number_is_given_once() -> None:
    assert sorted(set(NUMBERS)) == NUMBERS
    for path in RECORDS:
        assert path.read_text("utf-8").startswith(f"# {path.name[:4]}: "), path.name


def test_every_mention_leads_to_a_record() -> None:
    texts = [
        path
        for folder in ("src", "bench/waitline_bench", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".lua", ".sql", ".md"}
    ]
    assert texts
    for path in texts:
        text = path.read_text("utf-8")
        assert set(MENTION.findall(text)) <= set(NUMBERS), path
        assert set(LINK.findall(text)) <= {record.name for record in RECORDS}, path
