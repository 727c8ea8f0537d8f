"""Print coverage by package: `python -m tests.coverage_table coverage.json`."""

import json
import sys
from collections import Counter
from pathlib import Path

COLUMNS = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def by_package(report: dict[str, dict[str, dict[str, dict[str, int]]]]) -> dict[str, Counter[str]]:
    """Add up the files of each package: `waitline/queue`, `waitline_bench/scenario`, …."""
    packages: dict[str, Counter[str]] = {}
    for name, file in report["files"].items():
        root, *parts = Path(name).parts[:-1]
        # A test changes a copy of the sources elsewhere, and runs that.
        if root not in {"src", "bench"}:
            continue
        package = "/".join(parts[:2])
        counted = Counter({column: file["summary"][column] for column in COLUMNS})
        packages.setdefault(package, Counter()).update(counted)
    return packages


def table(packages: dict[str, Counter[str]]) -> str:
    """Return a row for each package, and one for all."""
    rows = [f"{'package':32}{'lines':>8}{'run':>8}{'branches':>10}{'taken':>8}"]
    everything: Counter[str] = sum(packages.values(), Counter())
    for name, found in [*sorted(packages.items()), ("all", everything)]:
        lines, run, branches, taken = (found[column] for column in COLUMNS)
        rows.append(f"{name:32}{lines:8}{_share(run, lines)}{branches:10}{_share(taken, branches)}")
    return "\n".join(rows)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:8.1%}" if whole else f"{'-':>8}"


if __name__ == "__main__":
    print(table(by_package(json.loads(Path(sys.argv[1]).read_text("utf-8")))))  # noqa: T201
