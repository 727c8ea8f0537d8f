"""Measure one k6 scenario: an installation of its own, k6, samples every second, and the audit.

All output goes into one folder: `result.json`, `report.html`, and k6's own files.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.sales.drawing import plots
from waitline.trial import installation, machine
from waitline.trial.installation import Installation
from waitline_bench import booking_audit
from waitline_bench.scenario import (
    drift,
    inspection,
    k6,
    report,
    series,
    summary,
    verdict,
)
from waitline_bench.scenario.offer import Offer, planned, visitors_each
from waitline_bench.scenario.samples import Sample, Sampler, sampling

STEADY = ("circulation", "soak")
"""Scenarios in which departures must keep up with admissions."""

STAY_S = 30.0
"""Longest stay of visitors. Source: the scenarios' default."""

SEEN_S = 0.5
"""Interval of progress updates."""


@dataclass(frozen=True, slots=True)
class ScenarioPlan:
    """Plan of a run.

    Attributes:
        name: Name of the scenario.
        script: The k6 script.
        variables: Environment of the script.
        workers: Processes of the queue service.
        settings: Further settings of the installation, by name.
        box_office: Whether the script needs the booking service.
        empties: Whether every visitor has left or paid when the script ends.
        scale: Share of the scenario's full load; 1.0 for scripts without a scale.
        own: Whether the script is one of ours, with our checks and thresholds.
        command: The command line.
    """

    name: str
    script: Path
    variables: Mapping[str, str]
    workers: int
    settings: Mapping[str, str] = field(default_factory=dict)
    box_office: bool = False
    empties: bool = False
    scale: float = 1.0
    own: bool = True
    command: str = ""


class _Ended(NamedTuple):
    """State at the end of k6.

    Attributes:
        rooms: The rooms, as audited.
        commands: Valkey's statistics by command.
        books: Result of the box office's audit; `None` without one.
    """

    rooms: list[verdict.RoomFound]
    commands: Mapping[str, str]
    books: dict[str, Any] | None


class RunProgress(NamedTuple):
    """Progress of a run.

    Attributes:
        doing: The current step.
        elapsed_s: Time since the start of k6.
        expected_s: Length of the arrivals.
        requests_per_s: Answers of the service; `None` before the second sample.
        waiting: Visitors who wait.
        admitted: Visitors who hold a slot.
    """

    doing: str
    elapsed_s: float = 0.0
    expected_s: float = 0.0
    requests_per_s: float | None = None
    waiting: int = 0
    admitted: int = 0


Show = Callable[[RunProgress], None]


def run_scenario(plan: ScenarioPlan, folder: Path, show: Show) -> dict[str, Any]:
    """Run a plan; return the result, which is also in `folder/result.json`.

    Raises:
        Misconfigured: k6 or matplotlib is missing, or k6 cannot read the script.
        Unavailable: The installation did not start, or k6 did not end.
    """
    if not plan.script.exists():
        raise Misconfigured(f"there is no script {plan.script}")
    plots.require()
    binary = k6.find()
    show(RunProgress("reading the script"))
    offer = k6.offer(binary, plan.script, plan.variables)
    folder.mkdir(parents=True, exist_ok=True)
    show(RunProgress("starting the servers"))
    with installation.start(plan.workers, plan.settings, box_office=plan.box_office) as stack:
        job = k6.Job(
            binary=binary,
            script=plan.script,
            variables=plan.variables,
            # k6 has another working directory.
            folder=folder.absolute(),
            port=stack.port,
            booking_port=stack.booking_port,
        )
        began_s = monotonic()
        with (
            k6.running(job) as process,
            sampling(stack, {"k6": [process.pid]}, offer.load_s) as sampler,
        ):
            while process.poll() is None:
                if monotonic() - began_s > offer.most_s:
                    raise Unavailable(f"k6 was still running after {offer.most_s:.0f} s")
                show(_sight(sampler, began_s, offer.load_s))
                Event().wait(SEEN_S)
            ended_s = monotonic()
        show(RunProgress("auditing"))
        ended = _ended(plan, stack)
    found = _found(job, process.returncode)
    # k6 first creates its virtual users, which takes seconds.
    first_s = max(began_s, ended_s - found.lasted_s)
    result = {
        "scenario": plan.name,
        "question": question(plan.script.read_text("utf-8")),
        "command": plan.command,
        "load": _load(plan, offer),
        "machine": {
            **machine.described(),
            "memory_gb": machine.memory_bytes() / 1e9,
            "k6": k6.version(binary),
        },
        "settings": {"workers": plan.workers, **plan.settings},
        **_judged(plan, offer, found, ended, _looked(sampler, first_s, ended.commands)),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1), "utf-8")
    (folder / "report.html").write_text(report.html(result), "utf-8")
    return result


def _ended(plan: ScenarioPlan, installation: Installation) -> _Ended:
    if plan.empties:
        inspection.drain(installation)
    rooms, commands = inspection.inspect(installation)
    # What somebody else's script pays is not ours to say.
    sold = booking_audit.audited(installation) if plan.box_office else None
    return _Ended(rooms, commands, sold)


def question(script: str) -> str:
    """Return the first sentence of a script's header, its question; empty if none."""
    found = re.match(r"/\*\s*\S+\.js: (.+)", script)
    return found[1][:1].upper() + found[1][1:] if found else ""


def _load(plan: ScenarioPlan, offer: Offer) -> dict[str, Any]:
    """Return the offered load, which comparable runs share."""
    return {
        "script": plan.script.name,
        "sha256": hashlib.sha256(plan.script.read_bytes()).hexdigest(),
        "variables": dict(plan.variables),
        "scale": plan.scale,
        "seconds": offer.load_s,
        "scenarios": offer.scenarios,
    }


def _found(job: k6.Job, status: int) -> summary.Summary:
    log = job.log_file.read_text("utf-8", "replace")
    if status not in {0, k6.THRESHOLD_CROSSED} or not job.summary_file.exists():
        said = summary.thrown(log) or log.strip().splitlines()[-1:] or ["nothing"]
        raise Unavailable(f"k6 ended with status {status} and said: {said[-1][:300]}")
    return summary.parse_summary(job.summary_file.read_text("utf-8"), log)


def _sight(sampler: Sampler, began_s: float, expected_s: float) -> RunProgress:
    elapsed_s = monotonic() - began_s
    looks: list[Sample] = sampler.samples[-2:]
    if len(looks) < 2:  # noqa: PLR2004 - a rate takes two
        return RunProgress("starting k6", elapsed_s, expected_s)
    seen = series.columns(looks, began_s)
    return RunProgress(
        "arrivals" if elapsed_s < expected_s else "the last visitors",
        elapsed_s,
        expected_s,
        requests_per_s=seen["requests_per_s"][-1],
        waiting=int(seen["waiting"][-1]),
        admitted=int(seen["admitted"][-1]),
    )


def _looked(sampler: Sampler, first_s: float, commands: Mapping[str, str]) -> dict[str, Any]:
    looks = sampler.samples
    if len(looks) < 2:  # noqa: PLR2004 - before and after
        raise Unavailable("the service did not tell its metrics even twice")
    server = series.totals(looks, commands)
    return {
        "server": {**server, "looks_missed": sampler.missed},
        "samples": series.columns(looks, first_s),
        "ended": verdict.survived(looks[0].processes, looks[-1].processes),
    }


def _judged(
    plan: ScenarioPlan,
    offer: Offer,
    found: summary.Summary,
    ended: _Ended,
    looked: dict[str, Any],
) -> dict[str, Any]:
    server, seen, rooms = looked["server"], looked["samples"], ended.rooms
    offered = _offered(found, offer)
    reckoning = [verdict.underfed(offered["arrivals"], offered["planned"]), *looked["ended"]]
    if plan.own:
        reckoning.append(verdict.reckoned(found, rooms))
    if plan.empties:
        reckoning.append(verdict.drained(found, rooms))
    served = _served(plan, offer, rooms, looked)
    wrong = [
        f"{one['invariant']}: {one['text']}" for one in (ended.books or {}).get("findings", ())
    ]
    outcome = verdict.judge(found, served, rooms, reckoning, wrong)
    return {
        "verdict": {"ok": outcome.ok, "line": outcome.line, "reasons": list(outcome.reasons)},
        "offered": offered,
        "client": asdict(found),
        "thresholds": [asdict(one) for one in (*found.thresholds, *served)],
        "server": server,
        "admission": _admission(seen),
        "audit": [asdict(room) for room in rooms],
        "box_office": ended.books,
        "samples": seen,
    }


def _served(
    plan: ScenarioPlan, offer: Offer, rooms: Sequence[verdict.RoomFound], looked: dict[str, Any]
) -> list[summary.Threshold]:
    """Return the criteria measured at the server."""
    if not plan.own:
        return []
    server, seen = looked["server"], looked["samples"]
    script_ms = server["store"]["script_ms"].get("p99_ms")
    served = verdict.served(script_ms, server["rounds"]["p99_ms"])
    if plan.name in STEADY:
        slots = sum(room.active_max for room in rooms)
        stay_s = float(plan.variables.get("USE_MOST_S", STAY_S))
        judged = verdict.flow(seen["at_s"], seen, slots, stay_s=stay_s, until_s=offer.load_s)
        served += [judged] if judged else []
    if plan.name == "soak":
        served += drift.judged(seen["at_s"], seen, offer.load_s)
    return served


def _offered(found: summary.Summary, offer: Offer) -> dict[str, Any]:
    """Return offered and completed arrivals/s of the arrival period, as in the contract."""
    each = visitors_each(offer.scenarios)
    lasted_s = min(found.lasted_s, offer.load_s)
    arrivals = (found.iterations + found.dropped) * each
    entries = next((check for check in found.checks if check.name == "entered"), None)
    return {
        "planned": planned(offer.scenarios),
        "arrivals": arrivals,
        "offered_per_s": arrivals / lasted_s if lasted_s else 0.0,
        "carried_out": found.iterations * each,
        "achieved_per_s": found.iterations * each / lasted_s if lasted_s else 0.0,
        "dropped": found.dropped * each,
        "entries": entries.passes + entries.fails if entries else 0,
    }


def _admission(seen: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the admissions per second while visitors waited."""
    rows = zip(seen["waiting"], seen["admissions_per_s"], strict=True)
    busy = [admitted for waiting, admitted in rows if waiting and admitted]
    return {
        "per_s": fmean(busy) if busy else None,
        "most_waiting": max(seen["waiting"], default=0),
        "most_admitted": max(seen["admitted"], default=0),
    }
