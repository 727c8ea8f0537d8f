"""Every setting: its value, where it came from, what it means."""

import json

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from waitline import settings as chosen
from waitline.cli import options


def show(as_json: options.AsJson = False) -> None:
    """Print every setting, its value, where it came from and what it means. Secrets are masked."""
    settings = chosen.read()
    rows = [
        {
            "variable": f"WAITLINE_{name}".upper(),
            "value": "********" if isinstance(value, SecretStr) else str(value),
            "from": "environment" if name in settings.model_fields_set else "default",
            "meaning": type(settings).model_fields[name].description or "",
        }
        for name, value in settings
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("variable", "value", "from", "meaning", box=None)
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
