"""Lazy loading: a command's module is imported when the command is used.

All of them together take twice the CPU time that most commands need, and every process of an
installation starts as a command.
"""

import gc
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperGroup
from typing_extensions import override

COMMANDS = {
    "up": "up:up",
    "queue": "queue:queue",
    "booking": "booking:booking",
    "admitter": "admitter:admitter",
    "migrate": "migrate:migrate",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "sandbox-pay": "sandbox_pay:sandbox_pay",
    "doctor": "doctor:doctor",
    "audit": "audit:audit",
    "settings": "settings:show",
    "simulate": "simulate:simulate",
    "size": "size:size",
    "rehearse": "rehearse:rehearse",
    "top": "top:top",
    "mode": "mode:app",
    "rooms": "rooms:app",
    "protect": "protect:app",
    "concerts": "concerts:app",
    "schedules": "schedules:app",
    "seats": "seats:app",
    "door": "door:app",
    "keys": "keys:app",
    "outbox": "outbox:app",
    "payments": "payments:app",
    "reservations": "reservations:app",
    "report": "report:app",
}
"""Module and function of each command, or module and `app` of each command group."""


class LazyGroup(TyperGroup):
    """The group of all commands: its own, and those of `COMMANDS`."""

    @override
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _LoadedOnUse(self.commands)  # type: ignore[assignment]  # it is only read


class _LoadedOnUse(Mapping[str, Any]):
    """Commands by name; those of `COMMANDS` are imported when they are looked up."""

    def __init__(self, own: Mapping[str, Any]) -> None:
        self._loaded = dict(own)
        self._names = (*COMMANDS, *own)

    @override
    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    @override
    def __len__(self) -> int:
        return len(self._names)


def _load(name: str) -> Any:  # noqa: ANN401 - Typer does not export the type
    """Import and build a command, as `Typer.command` and `Typer.add_typer` do.

    Raises:
        KeyError: There is none of this name.
    """
    module, attribute = COMMANDS[name].split(":")
    # Modules leave few cycles behind; looking for them takes a seventh of the time of the import.
    gc.disable()
    try:
        found = getattr(import_module(f"waitline.cli.{module}"), attribute)
    finally:
        gc.enable()
    app = typer.Typer()
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)
    return typer.main.get_group(app).commands[name]
