"""Plain words: phrases that a native-speaking engineer would not write, and what to write instead.

One list holds for all code and documentation; another, longer one for what users read.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "waitline"

EVERYWHERE: Mapping[str, str] = {
    r"told|tells": "say who sends what to whom",
    r"whoever": "any client that, the process that",
    r"mended|mends": "fixed, recovers",
    r"dice": "random seed, random generator",
    r"by a hair": "say by how much",
    r"processor time": "CPU time",
    r"flat out": "at full load",
    r"under way": "in progress",
    r"by HTTP": "over HTTP",
    r"with how things are": "with the current state",
    r"to the letter": "exactly",
    r"of the moment": "current",
    r"whose fault": "our bug or the server's state",
    r"clock (?:was|is) put": "the clock was set back",
}

FOR_USERS: Mapping[str, str] = {
    r"newcomers?": "new visitors",
    r"goes on(?! sale)": "continues",
    r"let in": "admitted",
    r"left out": "omitted; default: ...",
    r"meanwhile": "in the meantime",
    r"any more": "no longer",
    r"is said|says so": "is reported",
    r"others? than these": "others",
    r"there is nothing here": "not found",
}

# Commands with their help, messages of the API, and what operators read of settings, metrics and
# log events.
USER_TEXTS = [
    *sorted((SRC / "cli").glob("*.py")),
    *sorted((SRC / "settings").glob("*.py")),
    *sorted((SRC / "services").glob("*problem*.py")),
    *sorted((SRC / "services").glob("*/texts.py")),
    *sorted((SRC / "services").glob("*/openapi.py")),
    SRC / "booking" / "catalogue_model.py",
    SRC / "http" / "problems.py",
    SRC / "kernel" / "log_events.py",
    SRC / "kernel" / "telemetry.py",
    SRC / "queue" / "limits.py",
    SRC / "queue" / "settings.py",
]
# Decision records and the changelog are history, which is not rewritten.
DOCUMENTS = [
    *sorted(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "bench" / "README.md",
]
CODE = [
    path
    for folder in (SRC, ROOT / "bench")
    for path in sorted(folder.rglob("*"))
    # Applied migrations are not changed.
    if path.suffix in {".py", ".lua", ".sql"} and "migrations" not in path.parts
]


def banned(text: str, phrases: Mapping[str, str]) -> dict[str, str]:
    """Return the banned phrases of a text and what to write instead; links do not count."""
    prose = re.sub(r"\]\([^)]*\)", "]", text)
    prose = re.sub(r"\s*\n\s*(?:# |-- )?", " ", prose)
    return {
        found.group(): instead
        for phrase, instead in phrases.items()
        for found in re.finditer(rf"\b(?:{phrase})\b", prose, re.IGNORECASE)
    }


def strings(code: str) -> str:
    """Return the strings of a module, docstrings among them, without its comments."""
    return "\n".join(
        node.value
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


# A test for each file would cost more than its work: there are hundreds.


def plain(texts: Mapping[Path, str], phrases: Mapping[str, str]) -> None:
    found = {path: banned(text, phrases) for path, text in texts.items()}
    assert {str(path.relative_to(ROOT)): found[path] for path in found if found[path]} == {}


def test_code_is_plain() -> None:
    plain({path: path.read_text("utf-8") for path in CODE}, EVERYWHERE)


def test_documents_are_plain() -> None:
    plain({path: path.read_text("utf-8") for path in DOCUMENTS}, {**EVERYWHERE, **FOR_USERS})


def test_what_users_read_is_plain() -> None:
    plain({path: strings(path.read_text("utf-8")) for path in USER_TEXTS}, FOR_USERS)


def test_a_banned_phrase_is_found() -> None:
    assert banned("The store is told over HTTP.", EVERYWHERE) == {"told": EVERYWHERE["told|tells"]}
    assert banned("# less processor\n    # time", EVERYWHERE) == {"processor time": "CPU time"}
    assert banned("The service goes on; seats are on sale.", FOR_USERS) == {"goes on": "continues"}
    assert banned("Tickets: the sale goes on sale at noon.", FOR_USERS) == {}
    assert banned("[0003](decisions/0003-who-is-told-the-token.md)", EVERYWHERE) == {}
    assert strings('"""Help."""\nx = "any more"  # meanwhile') == "Help.\nany more"
