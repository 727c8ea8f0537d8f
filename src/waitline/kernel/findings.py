"""Audit finding: a violated invariant, as reported by the audits of line and box office."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One violated invariant.

    Attributes:
        invariant: Its number, such as Q1.
        text: The violation, with a few examples.
        times: Number of violations.
    """

    invariant: str
    text: str
    times: int
