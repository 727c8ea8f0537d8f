"""`waitline settings`: print every setting, its value, its origin and its meaning."""

import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options, setting_tables
from waitline.kernel.escapes import json_line
from waitline.kernel.terminal import Terminal

_SECRET_PARAMETER = re.compile(
    "([?&;][^=&;]*(?:pass|pwd|secret|token|key|auth)[^=&;]*=)[^&;#]*", re.IGNORECASE
)

Update = Annotated[
    Path | None,
    typer.Option(help="Rewrite the tables of settings in a Markdown document", hidden=True),
]


def show(as_json: options.AsJson = False, update: Update = None) -> None:
    """Print every setting: its value, its origin and its meaning. Secrets are masked.

    Settings are environment variables; command-line options override them.
    """
    if update is not None:
        update.write_text(setting_tables.rewritten(update.read_text("utf-8")), "utf-8")
        return
    settings = chosen.load()
    rows = [
        {
            "variable": name,
            "value": _shown(variable, settings),
            "from": _origin(name),
            "meaning": variable.meaning,
        }
        for name, variable in chosen.VARIABLES.items()
    ]
    if as_json:
        typer.echo(json_line(rows))
        return
    table = Table("variable", "value", "from", "meaning", box=None)
    for row in rows:
        table.add_row(*row.values())
    Terminal().print(table)


def _shown(variable: chosen.Variable, settings: chosen.Settings) -> str:
    value = variable.read(settings)
    if isinstance(value, SecretStr):
        address = value.get_secret_value()
        return masked(address) if "://" in address else "********"
    return masked(str(value))


def masked(address: str) -> str:
    """Return a text without the passwords of an address.

    They stand before the host (`redis://user:password@host`), where they may contain any
    character, or in the query (`postgresql:///name?password=…`).
    """
    before, divider, rest = address.rpartition("://")
    credentials, at, host = rest.rpartition("@")
    if at:
        name, colon, _ = credentials.partition(":")
        rest = f"{name if colon else ''}{colon}********@{host}"
    return _SECRET_PARAMETER.sub(r"\1********", f"{before}{divider}{rest}")


def _origin(variable: str) -> str:
    if chosen.in_environment(variable) is not None:
        return "environment"
    file = f"{variable}{chosen.FILE_SUFFIX}"
    return "default" if chosen.in_environment(file) is None else "file"
