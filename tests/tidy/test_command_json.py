"""Commands print JSON in one way, which is JSON in every encoding of standard output."""

import re
from pathlib import Path

COMMANDS = sorted((Path(__file__).parents[2] / "src" / "waitline" / "cli").glob("*.py"))

ANOTHER_WAY = re.compile(r"echo\(\s*(json\.dumps|msgspec|encode)")


def test_commands_print_json_in_ascii() -> None:
    assert len(COMMANDS) > 20
    others = [path.name for path in COMMANDS if ANOTHER_WAY.search(path.read_text("utf-8"))]
    assert others == [], "json_line prints characters that the encoding lacks as escapes"
