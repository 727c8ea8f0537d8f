"""SQL statements by name, read from a package's `sql` folder.

What several statements share is in `sql/include` (`kernel/includes.py`).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import aiosql
from aiosql.adapters.asyncpg import AsyncPGAdapter
from aiosql.queries import Queries
from aiosql.types import SQLOperationType

from waitline.kernel import includes


class Statement(NamedTuple):
    """One statement of a `sql` folder.

    Attributes:
        text: Its SQL, with `$1 …` for its values.
        names: Names of its values, in the order of their numbers.
        one: Whether it returns at most one row.
    """

    text: str
    names: Sequence[str]
    one: bool


@cache
def load(package: str) -> Mapping[str, Statement]:
    """Load the statements of a package, by name, once per process: parsing them takes 70 ms.

    Args:
        package: Package whose `sql` folder holds them.
    """
    return parse(aiosql.from_str(source(package), "asyncpg"))


def source(package: str) -> str:
    """Return the text of a package's statements, with what they include."""
    folder = files(package).joinpath("sql")
    names = sorted(one.name for one in folder.iterdir() if one.is_file())
    return "\n".join(includes.assemble(folder, name) for name in names)


def parse(queries: Queries) -> Mapping[str, Statement]:
    """Return statements by name. aiosql only parses the files; `Database` runs the statements."""
    adapter = queries.driver_adapter
    assert isinstance(adapter, AsyncPGAdapter)
    names = adapter.var_sorted
    found = {name: getattr(queries, name) for name in queries.available_queries}
    return {
        name: Statement(query.sql, names[name], query.operation is SQLOperationType.SELECT_ONE)
        for name, query in found.items()
        if not name.endswith("_cursor")
    }


def naming_array_types(statements: Iterable[Statement]) -> str:
    """Return a statement that uses every array type of the others."""
    named = {name for each in statements for name in re.findall(r"::(\w+\[\])", each.text)}
    return "SELECT " + ", ".join(f"NULL::{name}" for name in sorted(named))
