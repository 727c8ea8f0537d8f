"""Result of a check of an installation. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How serious a result is."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAULT = "fault"


class Diagnosis(NamedTuple):
    """One result.

    Attributes:
        subject: What was checked: `Valkey: settings`.
        level: How serious it is.
        found: What was found, in one line; for a warning or a fault with the remedy.
    """

    subject: str
    level: Level
    found: str


def ok(subject: str, found: str) -> Diagnosis:
    """Return that nothing is wrong."""
    return Diagnosis(subject, Level.OK, found)


def skipped(subject: str, why: str) -> Diagnosis:
    """Return that something was not checked."""
    return Diagnosis(subject, Level.SKIPPED, why)


def warning(subject: str, found: str) -> Diagnosis:
    """Return what works, and may not at the worst moment."""
    return Diagnosis(subject, Level.WARNING, found)


def fault(subject: str, found: str) -> Diagnosis:
    """Return what must be corrected before a sale."""
    return Diagnosis(subject, Level.FAULT, found)


def faults(subject: str, found: Iterable[str], otherwise: str) -> list[Diagnosis]:
    """Return a fault for each text, or that nothing is wrong.

    Args:
        subject: What was checked.
        found: The faults, each with its remedy.
        otherwise: What is right if there are none.
    """
    return [fault(subject, text) for text in found] or [ok(subject, otherwise)]
