"""Results of benchmarks: the JSON files that `waitline-bench` writes to a folder.

Fields that the report does not use are ignored, so that results of other versions can be read.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from waitline.kernel.errors import Misconfigured
from waitline.kernel.folders import reason_of
from waitline.kernel.plurals import counted

FILES_MAX = 500
"""Most JSON files of the folders; a run of all benchmarks leaves 20."""

FILE_BYTES_MAX = 64 * 1024**2
"""Longest file that is read; that of a scenario of an hour has 3 MB."""


class Machine(msgspec.Struct, frozen=True):
    """Where and when a result was measured."""

    processor: str
    cores: int
    system: str
    python: str
    commit: str
    at_ms: int


class HotCall(msgspec.Struct, frozen=True):
    """A call at full load, one worker on one core: requests/s, and CPU time of the worker."""

    name: str
    per_s: float
    least_per_s: float
    most_per_s: float
    of_empty: float
    of_naive: float | None
    cpu_us: float


class PacedCall(msgspec.Struct, frozen=True):
    """A call at a fixed rate."""

    name: str
    per_s: float
    cpu_us: float
    store_us: float
    p50_ms: float
    p99_ms: float


class HotPath(msgspec.Struct, frozen=True):
    """Figures of `hot-path`."""

    flat_out: list[HotCall]
    paced: list[PacedCall]
    stolen: float


class Latency(msgspec.Struct, frozen=True):
    """Percentiles, in ms."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


class InstanceShare(msgspec.Struct, frozen=True):
    """Share of the requests that an instance answered."""

    instance: str
    share: float


class ScaleOutRow(msgspec.Struct, frozen=True):
    """Throughput of a number of instances."""

    per_s: float
    times: float
    times_least: float
    times_most: float
    efficiency: float
    steps: dict[str, Latency]
    quota_used: float
    lease_refused: float
    cores: dict[str, float]
    instances: list[InstanceShare]
    troubles: list[str]


class PrimariesRow(msgspec.Struct, frozen=True):
    """Throughput of a script by rooms and primaries."""

    call: str
    primaries: int
    rooms: int
    per_s: float
    times: float
    times_least: float
    times_most: float
    p50_ms: float
    p99_ms: float
    others_cores: float
    stolen_cores: float

    @property
    def spread(self) -> str:
        """The rooms and the primaries, as text."""
        primaries = counted(self.primaries, "primary", "primaries")
        return f"{counted(self.rooms, 'room')} on {primaries}"


class Primaries(msgspec.Struct, frozen=True):
    """Figures of `primaries`."""

    rows: list[PrimariesRow]


class RushFigures(msgspec.Struct, frozen=True):
    """Figures of `rush`."""

    visitors: int
    per_s: float
    workers: int
    dropped: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cores: dict[str, float]
    cpu_us: dict[str, float]
    troubles: list[str]


class ScenarioCriterion(msgspec.Struct, frozen=True):
    """A criterion of a load scenario."""

    subject: str
    condition: str
    value: float | None
    ok: bool


class Offered(msgspec.Struct, frozen=True):
    """Arrivals of a load scenario."""

    arrivals: int
    offered_per_s: float
    achieved_per_s: float
    dropped: int


class ScenarioVerdict(msgspec.Struct, frozen=True):
    """Whether a load scenario passed, and why not."""

    ok: bool
    line: str
    reasons: list[str]


class ScenarioResult(msgspec.Struct, frozen=True):
    """A load scenario, run by k6."""

    scenario: str
    machine: Machine
    command: str
    verdict: ScenarioVerdict
    offered: Offered
    thresholds: list[ScenarioCriterion]


class KeptResult(msgspec.Struct, frozen=True):
    """A file of `waitline-bench` before its figures are read."""

    machine: Machine
    figures: msgspec.Raw
    seconds: float | None = None
    rounds: int | None = None
    quota: float | None = None


KINDS: Mapping[str, Any] = {
    "hot-path": HotPath,
    "scale-out": dict[str, dict[str, ScaleOutRow]],
    "primaries": Primaries,
    "rush": RushFigures,
}
"""Type of the figures, by name of the file and of the command."""

SCENARIO = "result"
"""Name of the file of a load scenario."""


class Result(NamedTuple):
    """One result.

    Attributes:
        kind: Name of the command.
        machine: Where and when it was measured.
        command: The command that measured it.
        figures: Of the type in `KINDS`, or a `ScenarioResult`.
    """

    kind: str
    machine: Machine
    command: str
    figures: Any


class Results:
    """The results of some folders.

    Args:
        found: In any order.
        unused: Files that hold no result of a kind that is reported.
    """

    def __init__(self, found: Iterable[Result], unused: list[str]) -> None:
        self._by_kind: dict[str, list[Result]] = {}
        for one in sorted(found, key=lambda result: result.machine.at_ms):
            self._by_kind.setdefault(one.kind, []).append(one)
        self.unused = unused

    def latest(self, kind: str) -> Any:  # noqa: ANN401 - of the type in `KINDS`
        """Return the figures of the latest result of a kind; `None` if there is none."""
        found = self._by_kind.get(kind)
        return found[-1].figures if found else None

    def first(self, kind: str) -> Any:  # noqa: ANN401 - of the type in `KINDS`
        """Return the figures of the first result of a kind, if there are several."""
        found = self._by_kind.get(kind, [])
        return found[0].figures if len(found) > 1 else None

    def scenarios(self) -> list[ScenarioResult]:
        """Return the latest run of each load scenario."""
        return [one.figures for one in self.shown() if isinstance(one.figures, ScenarioResult)]

    def shown(self) -> list[Result]:
        """Return the latest result of each kind."""
        return [found[-1] for found in self._by_kind.values()]


def load_results(folders: Iterable[Path]) -> Results:
    """Load all results of folders, and of the folders in them.

    Raises:
        Misconfigured: A folder cannot be read or has no result, or a result is damaged.
    """
    found: list[Result] = []
    unused: list[str] = []
    for folder in folders:
        before = len(found)
        for path in _json_files(folder):
            result = _load(path)
            if result is None:
                unused.append(path.name)
            else:
                found.append(result)
        if len(found) == before:
            raise Misconfigured(
                f"{folder} has no results of waitline-bench; make some with "
                f"`waitline-bench scale-out --out {folder}`"
            )
    return Results(found, sorted(set(unused)))


def _json_files(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted([*folder.glob("*.json"), *folder.glob("*/*.json")])
        if not paths and not folder.is_dir():
            raise NotADirectoryError(20, "not a folder")
    except OSError as error:
        raise Misconfigured(f"cannot read the results in {folder}: {reason_of(error)}") from None
    if len(paths) > FILES_MAX:
        raise Misconfigured(f"{folder} has more than {FILES_MAX} JSON files; name another folder")
    yield from paths


def _load(path: Path) -> Result | None:
    """Load a result; return `None` if the file holds no kind that is reported.

    Raises:
        Misconfigured: It should, but is damaged.
    """
    kind = path.stem
    if kind != SCENARIO and kind not in KINDS:
        return None
    try:
        with path.open("rb") as file:
            # A longer file is cut off, and so is no JSON.
            text = file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {reason_of(error)}") from None
    command = "a load scenario" if kind == SCENARIO else kind
    try:
        if kind == SCENARIO:
            run = msgspec.json.decode(text, type=ScenarioResult)
            return Result(run.scenario, run.machine, run.command, run)
        kept = msgspec.json.decode(text, type=KeptResult)
        figures = msgspec.json.decode(kept.figures, type=KINDS[kind])
    except ValueError as error:
        raise Misconfigured(
            f"{path} is not a result of `waitline-bench {command}`: {error}. Delete it, or "
            "measure again"
        ) from None
    return Result(kind, kept.machine, _command(kind, kept), figures)


def _command(kind: str, kept: KeptResult) -> str:
    """Return the command that measured a result."""
    words = ["waitline-bench", kind]
    for name in ("quota", "seconds", "rounds"):
        value = getattr(kept, name)
        if value is not None:
            words += [f"--{name}", f"{value:g}"]
    return " ".join(words)
