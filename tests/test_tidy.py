"""House rules that no linter knows."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

import waitline
import waitline.gate
import waitline.queue
from waitline.cli.lazy_commands import COMMANDS
from waitline.http.problems import BUG, UNAVAILABLE
from waitline.kernel import includes
from waitline.kernel.errors import Refused
from waitline.queue.keys import RoomKeys
from waitline.services.problems import PROBLEMS
from waitline.valkey import scripts

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src" / "waitline"
BENCH = ROOT / "bench" / "waitline_bench"
SCRIPTS = sorted(SRC.glob("*/lua/*.lua"))
FRAGMENTS = sorted(SRC.glob("*/lua/include/*.lua"))
SOURCES = [*sorted(SRC.rglob("*.py")), *sorted(BENCH.rglob("*.py"))]
PACKAGES = [path for path in SOURCES if path.name == "__init__.py"]
MODULES = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *SCRIPTS, *FRAGMENTS]

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# A name that excludes nothing attracts everything.
BANNED_FILES = {"utils", "util", "helpers", "common", "base", "manager", "service", "misc"}

# Synonyms of words of the glossary. The wire has its own words, so modules that translate are left
# out.
BANNED_WORDS = {
    "concert": "room",
    "user": "visitor",
    "users": "visitors",
    "customer": "visitor",
    "guest": "visitor",
    "rank": "position",
    "dequeue": "admit",
    "promote": "admit",
    "evict": "lapse",
    "reap": "sweep",
    "cleanup": "sweep",
    "kick": "leave",
    "permit": "pass",
}

# Names of functions that say too little, and cannot be searched for. `fetch`, `load`, `parse`,
# `record`, `charge`, `publish`, `poll_once` say more.
BANNED_VERBS = {"ask", "told", "tell", "note", "read", "look", "hear", "measure", "play"}

# A concert is what the box office sells, and its room another thing; who buys it has a number.
OF_THE_BOX_OFFICE = {"concert", "concerts", "user", "users"}
SPEAKS_OF_THE_BOX_OFFICE = {
    SRC / "booking",
    SRC / "sales" / "rehearsal",
    SRC / "sales" / "audit.py",
    BENCH / "booking",
    SRC / "cli" / "catalogue_store.py",
    SRC / "cli" / "concerts.py",
    SRC / "cli" / "schedules.py",
    SRC / "cli" / "payments.py",
    SRC / "cli" / "reservations.py",
    SRC / "cli" / "setting_tables.py",
}
# The stores of the line, and for each stream the modules that write and read it.
SEND_TO_VALKEY = {
    *(
        SRC / "queue" / f"{name}.py"
        for name in (
            *("addresses", "admitters", "audit", "claims", "departed", "listening", "mode"),
            *("openings", "rehearsals", "rooms", "slides", "store", "walk_ins"),
        )
    ),
    SRC / "gate" / "store.py",
    SRC / "booking" / "outbox.py",
    SRC / "booking" / "load_reporter.py",
    SRC / "admission" / "payment_events.py",
    SRC / "admission" / "shop_reports.py",
    SRC / "valkey" / "client.py",
    SRC / "valkey" / "cluster.py",
}
# `while True` outside of `kernel/periodic.py`, each ended by what it is about.
ENDLESS_LOOPS = {
    "cli/top.py",  # intervals of the view, until Ctrl-C
    "kernel/periodic.py",
    "sales/http_client.py",  # until a pooled connection is free
    "sales/rehearsal/visitors.py",  # one visitor's polls, until the turn comes
    "sales/rehearsal/watch.py",  # samples of one rehearsal, which shows on the terminal if it fails
}
SPEAKS_TO_THE_WIRE = {
    SRC / "kernel" / "telemetry.py",
    SRC / "valkey" / "connection.py",
    BENCH / "naive" / "app.py",
}


def script(path: Path) -> scripts.Script:
    return scripts.load(f"waitline.{path.parts[-3]}", path.stem)


def body(path: Path) -> str:
    """What runs: with what the script includes."""
    return script(path).source.partition("]]")[2]


def header(path: Path) -> str:
    return script(path).source.partition("]]")[0]


def folder(path: Path) -> str:
    """Name the capability, or the part of the measurements, that a file belongs to."""
    return "/".join(path.relative_to(ROOT).parent.parts[1:3])


@cache
def tree(path: Path) -> ast.Module:
    """Return a module's syntax tree. Parsing takes longer than all rules together."""
    return ast.parse(path.read_text("utf-8"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_lua_keys_are_those_declared_and_bear_their_names(path: Path) -> None:
    declared = script(path).keys
    found: dict[int, str] = {}
    for names, values in re.findall(r"^local ([\w, ]+) = (KEYS\[.*)$", body(path), re.MULTILINE):
        indices = [int(number) for number in re.findall(r"KEYS\[(\d+)\]", values)]
        found.update(zip(indices, names.split(", "), strict=True))
    assert found == dict(enumerate(declared, start=1))
    assert body(path).count("KEYS") == len(declared)
    # A key of all rooms has a script of its own.
    assert set(declared) <= set(RoomKeys._fields) or declared in (
        ("listening",),
        ("admitters",),
        ("protection",),
    )


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_lua_arguments_are_those_declared(path: Path) -> None:
    declared = set(range(1, len(script(path).args) + 1))
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body(path))}
    # A script that takes them all, or loops over them, must declare that they are repeated.
    takes_all = re.search(r"ARGV(?!\[\d)", body(path)) is not None
    repeated = re.search(r"^  \d \w+ .*repeated", header(path), re.MULTILINE) is not None
    assert takes_all is repeated
    assert used <= declared if repeated else used == declared


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_lua_answers_are_those_declared(path: Path) -> None:
    declared = set(script(path).outcomes)
    assert declared
    assert set(re.findall(r"\{'(\w+)'", body(path))) <= declared
    assert declared <= set(re.findall(r"'(\w+)'", body(path)))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_lua_header_says_what_and_at_what_cost(path: Path) -> None:
    assert header(path).startswith(f"--[[\n{path.name}: ")
    sections = re.findall(r"^([A-Z]{2,})\b", header(path), re.MULTILINE)
    assert [name for name in sections if name != "ARGV"] == ["KEYS", "RETURNS", "COST"]


@pytest.mark.parametrize("kind", ["lua", "sql"])
def test_includes_are_replaced_and_all_are_used(kind: str) -> None:
    paths = sorted(SRC.glob(f"*/{kind}/*.{kind}"))
    included = [
        name
        for path in paths
        for name in re.findall(r"^ *--@include (.*)$", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert {*included} == {path.stem for path in SRC.glob(f"*/{kind}/include/*.{kind}")}
    assembled = [includes.assemble(path.parent, path.name) for path in paths]
    assert [text for text in assembled if "@include" in text] == []


HEAVY = {"aiohttp", "alembic", "fastapi", "matplotlib", "numpy", "sqlalchemy"}
MODULES_OF_COMMANDS = sorted({f"waitline.cli.{at.partition(':')[0]}" for at in COMMANDS.values()})


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (["waitline.cli"], HEAVY | {"pydantic_settings", "rich", *MODULES_OF_COMMANDS}),
        (MODULES_OF_COMMANDS, HEAVY),
    ],
    ids=["the command line", "its commands"],
)
def test_what_takes_long_to_import_is_imported_when_it_is_needed(
    modules: list[str], heavy: set[str]
) -> None:
    # It starts every process of ours, and what it imports delays each of them.
    code = f"import sys, {', '.join(modules)}; sys.exit(' '.join({heavy} & sys.modules.keys()))"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], check=False, timeout=60, stderr=subprocess.PIPE
    )
    assert done.stderr.decode() in {"", "\n"}


def test_every_script_is_used() -> None:
    loaded = {
        value.name
        for package in (waitline.queue, waitline.gate)
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, scripts.Script)
    }
    assert sorted(loaded) == sorted(path.stem for path in SCRIPTS)


def test_commands_and_scripts_are_sent_by_stores_alone() -> None:
    sending = {path for path in SRC.rglob("*.py") if any(_sends(node) for node in _calls(path))}
    assert sending == SEND_TO_VALKEY


def test_statements_are_run_by_the_box_office_alone() -> None:
    running = {path.parent for path in SRC.rglob("*.py") if any(map(_runs_sql, _calls(path)))}
    assert running == {SRC / "booking"}


def test_valkey_keys_are_named_in_one_place_for_each_half() -> None:
    naming = {path for path in SOURCES if re.search(r"""["']wl:""", path.read_text("utf-8"))}
    assert naming == {SRC / "queue" / "keys.py", SRC / "kernel" / "events.py"}


# A test for each file would cost more than its work: there are hundreds.


def test_modules_are_short() -> None:
    lines = {named(path): path.read_text("utf-8").count("\n") for path in MODULES}
    assert {name: lines[name] for name in lines if lines[name] > MODULE_LINES_MAX} == {}


def test_functions_fit_a_screen() -> None:
    assert [
        f"{named(path)}: {node.name}"
        for path in SOURCES
        for node in _functions(path)
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX
    ] == []


def test_no_file_has_a_name_for_everything() -> None:
    assert [named(path) for path in MODULES if path.stem in BANNED_FILES] == []


def test_the_glossary_has_one_word_for_each_thing() -> None:
    synonyms = {named(path): found for path in SOURCES if (found := _synonyms(path))}
    assert synonyms == {}


def test_functions_have_names_that_can_be_searched_for() -> None:
    assert [
        f"{named(path)}: {node.name}"
        for path in SOURCES
        for node in _functions(path)
        if node.name in BANNED_VERBS
    ] == []


def test_no_two_public_classes_have_one_name() -> None:
    where: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(named(path))
    assert {name: paths for name, paths in where.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: named(path.parent))
def test_a_package_lists_its_modules(path: Path) -> None:
    """One line for each module and folder: `name.py  what it is`, `name/  what it is`."""
    text = ast.get_docstring(tree(path)) or ""
    listed = re.findall(r"^([\w*.-]+(?:\.\w+|/)) +\S", text, re.MULTILINE)
    there = {
        f"{each.name}/" if each.is_dir() else each.name
        for each in path.parent.iterdir()
        if each.suffix == ".py" or (each.is_dir() and each.name != "__pycache__")
    } - {"__init__.py", "__main__.py"}
    missing = {name for name in there if not any(fnmatch(name, one) for one in listed)}
    assert missing == set(), "not listed"
    gone = [one for one in listed if not any(path.parent.glob(one.rstrip("/")))]
    assert gone == [], "listed, but not there"
    assert len(listed) == len(set(listed)), "listed twice"


def test_every_refusal_has_a_problem_and_none_is_left_over() -> None:
    for module in pkgutil.walk_packages(waitline.__path__, "waitline."):
        # The one would run the command line, the other the migrations.
        if not module.name.endswith(("__main__", "migrations.env")):
            importlib.import_module(module.name)
    assert set(PROBLEMS.by_refusal) == set(_leaves(Refused))


def test_every_problem_is_explained() -> None:
    text = (ROOT / "docs" / "problems.md").read_text("utf-8")
    explained = re.findall(r"^## (.+)$", text, re.MULTILINE)
    kinds = [*PROBLEMS.by_refusal.values(), UNAVAILABLE, BUG]
    assert sorted(explained) == sorted(problem.slug for problem in kinds)


def test_links_lead_somewhere() -> None:
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text("utf-8")):
            assert (path.parent / link).exists(), f"{named(path)} points to {link}"


def test_no_test_sleeps_for_luck() -> None:
    assert [
        named(path)
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for call in _calls(path)
        if ast.unparse(call.func) in {"time.sleep", "asyncio.sleep", "sleep"}
    ] == []


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    nodes = ast.walk(tree(path))
    return (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _synonyms(path: Path) -> dict[str, str]:
    """Return words of a module that the glossary has others for, and those."""
    if path in SPEAKS_TO_THE_WIRE or {SRC / "http", SRC / "services"} & {*path.parents}:
        return {}
    words = {word for name in _identifiers(path) for word in re.findall(r"[A-Z]?[a-z]+", name)}
    found = {word.lower() for word in words} & BANNED_WORDS.keys()
    if SPEAKS_OF_THE_BOX_OFFICE & {path, *path.parents}:
        found -= OF_THE_BOX_OFFICE
    return {word: BANNED_WORDS[word] for word in found}


def _calls(path: Path) -> Iterator[ast.Call]:
    nodes = ast.walk(tree(path))
    return (node for node in nodes if isinstance(node, ast.Call))


def _sends(call: ast.Call) -> bool:
    """Return whether a call is `command(…)`, `transaction(…)` or `run(SCRIPT, …)` of a client."""
    if not isinstance(call.func, ast.Attribute) or not call.args:
        return False
    # `app.command("name")` is Typer's.
    if call.func.attr in {"command", "transaction"}:
        return ast.unparse(call.func.value) != "app"
    return call.func.attr == "run" and ast.unparse(call.args[0]).isupper()


def _runs_sql(call: ast.Call) -> bool:
    """Return whether a call is one of the two that run a statement of a `Database`."""
    return isinstance(call.func, ast.Attribute) and call.func.attr in {"fetch_one", "fetch_all"}


def test_loops_without_end_are_supervised() -> None:
    endless = {
        path.relative_to(SRC).as_posix()
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.While) and ast.unparse(node.test) == "True"
    }
    assert endless == ENDLESS_LOOPS


def _identifiers(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case _:
                pass


def _leaves(refusal: type[Refused]) -> Iterator[type[Refused]]:
    """The refusals of ours without subclasses; tests may have made some of their own."""
    kinds = [kind for kind in refusal.__subclasses__() if kind.__module__.startswith("waitline.")]
    if not kinds:
        yield refusal
    for kind in kinds:
        yield from _leaves(kind)
