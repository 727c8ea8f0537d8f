"""Seconds from a fault to the alert that is for it: a real stack, Prometheus and our rules."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tools.dashboards.alerts import ALERTS

from tests.booking_web.office import Office
from tests.monitoring.conftest import Prometheus, SecondAdmitter
from tests.monitoring.promtool import needed
from tests.processes import halted
from tests.until import until
from tests.web.stack import UP_S, waitline

pytestmark = [needed, pytest.mark.long]

# Faults by the alert that they are for; each is in force while its block runs.


@contextmanager
def unsettled(office: Office, _: SecondAdmitter) -> Iterator[None]:
    for table, change, key, where in (
        ("payment", "flag = 'refund_failed'", "payment_id", "true"),
        ("outbox", "dead = true, sent_at = NULL", "event_no", "true"),
        ("seat", "state = 'AVAILABLE'", "seat_id", "state = 'OCCUPIED'"),
    ):
        office.sql(
            f"UPDATE {table} SET {change} WHERE {key} = "  # noqa: S608 - our own words
            f"(SELECT max({key}) FROM {table} WHERE {where})"
        )
    waitline("audit", "--booking", "--data-dir", office.program.data_dir)
    yield


@contextmanager
def hanging(office: Office, second: SecondAdmitter) -> Iterator[None]:
    with halted([*second.pids, *office.program.processes()["admitter"]]):
        yield


@contextmanager
def without_valkey(office: Office, _: SecondAdmitter) -> Iterator[None]:
    with halted(office.program.processes()["valkey"]):
        office.sql("INSERT INTO outbox (topic, payload) VALUES ('test', '{}')")
        yield
        office.sql("DELETE FROM outbox WHERE topic = 'test'")


@contextmanager
def restarted(office: Office, _: SecondAdmitter) -> Iterator[None]:
    roles = office.program.processes()
    for role in ("valkey", "postgres"):
        os.kill(roles[role][0], signal.SIGKILL)
    yield


FAULTS = [
    (unsettled, {"WaitlineDeadEvents", "WaitlinePaymentsNeedOperator", "WaitlineAuditFindings"}),
    (hanging, {"WaitlineDown", "WaitlineMetricsStale", "WaitlineAdmissionStuck",
               "WaitlineOneAdmitter"}),
    (without_valkey, {"WaitlineOutboxLag"}),
    (restarted, {"WaitlineStoreFailover", "WaitlineDatabaseFailover"}),
]  # fmt: skip

MEASURED = Path("out/alerts.md")

# Seconds beside `for` and the range of a rate: evaluation every 15 s, scrapes, and this machine.
LATE_S = 75


def lasting_s(expr: str, lasting: str) -> float:
    """Return how long a fault must last: `for`, and the longest range until a rate is zero."""
    minutes = [int(found) for found in re.findall(r"(\d+)m\] ?\)\)? == 0", expr)]
    return 60 * (int(lasting.removesuffix("m")) + max(minutes, default=0))


def test_seconds_from_fault_to_firing(
    office: Office,
    prometheus: Prometheus,
    second_admitter: SecondAdmitter,
) -> None:
    """Measure them, and leave them in a file."""
    until(lambda: bool(office.sql("SELECT FROM outbox LIMIT 1")), UP_S, "seats are sold")
    caused = {name for _, names in FAULTS for name in names}
    limits = {
        one.name: lasting_s(one.expr, one.lasting) + LATE_S for one in ALERTS if one.name in caused
    }
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.unlink(missing_ok=True)
    for fault, names in FAULTS:
        # Others have caused some of them before.
        waiting = names - prometheus.firing()
        with fault(office, second_admitter):
            began_s = time.monotonic()
            while waiting:
                fired = waiting & prometheus.firing()
                took_s = time.monotonic() - began_s
                with MEASURED.open("a", encoding="utf-8") as file:
                    file.writelines(
                        f"| `{name}` | {fault.__name__} | {took_s:.0f} |\n" for name in fired
                    )
                waiting -= fired
                assert all(took_s < limits[name] for name in waiting), waiting
                threading.Event().wait(0.5)
