"""An invariant that an audit found broken: what the audits of both halves report."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One invariant that does not hold.

    Attributes:
        invariant: Its number.
        text: What is wrong, with a few examples.
        times: How often.
    """

    invariant: str
    text: str
    times: int
