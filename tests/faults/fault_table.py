"""The table of faults in docs/operations.md: its rows are the list of faults, its figures a run's.

    python -m tests.faults.fault_table RESULTS.xml

writes what the run behind the results measured into the table. Faults that it did not run keep
their figures.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tests.faults.faults import FAULTS, Fault

DOCUMENT = Path(__file__).parents[2] / "docs/operations.md"

_TABLE = re.compile(r"(<!-- faults -->\n).*?(\n<!-- end -->)", re.DOTALL)
_FIGURE = r"\| ([\d.]+ s|-) "
_ROW = re.compile(rf"{_FIGURE * 3}\| [^|]* \| `([\w-]+)` \|$", re.MULTILINE)

_HEAD = (
    "| fault | what a visitor sees | it lasted | pause of new places | pause of payments | lost "
    "| test |\n|---|---|--:|--:|--:|---|---|"
)


class Measured(NamedTuple):
    """What a run measured of one fault; a dash where none has run yet.

    Attributes:
        held_s: How long the fault lasted.
        line_s: The longest time in which nobody was given a place.
        sale_s: The longest time in which nobody paid.
    """

    held_s: str = "-"
    line_s: str = "-"
    sale_s: str = "-"


def row(fault: Fault, measured: Measured) -> str:
    figures = " | ".join(measured)
    return f"| {fault.does} | {fault.sees} | {figures} | nothing | `{fault.name}` |"


def table(measured: Mapping[str, Measured]) -> str:
    """Return the table."""
    rows = (row(fault, measured.get(fault.name, Measured())) for fault in FAULTS)
    return "\n".join([_HEAD, *rows])


def in_document(document: str) -> dict[str, Measured]:
    """Return the figures that the document has."""
    return {name: Measured(*figures) for *figures, name in _ROW.findall(document)}


def in_results(results: str) -> dict[str, Measured]:
    """Return the figures of a run, from its JUnit XML; failed tests have none."""
    found = {}
    for case in ET.fromstring(results).iter("testcase"):  # noqa: S314 - our own file
        values = {one.get("name"): one.get("value") for one in case.iter("property")}
        if "fault" in values:
            figures = (f"{values[name]} s" for name in Measured._fields)
            found[str(values["fault"])] = Measured(*figures)
    return found


def updated(document: str, measured: Mapping[str, Measured]) -> str:
    text = table({**in_document(document), **measured})
    return _TABLE.sub(lambda match: match[1] + text + match[2], document)


if __name__ == "__main__":
    before = DOCUMENT.read_text("utf-8")
    DOCUMENT.write_text(updated(before, in_results(Path(sys.argv[1]).read_text("utf-8"))), "utf-8")
