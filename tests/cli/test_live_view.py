"""The figures of `waitline top`: rates, percentiles, several instances, and any text in names."""

import msgspec
import pytest

from waitline.kernel.terminal import Terminal
from waitline.sales.live_view.figures import LiveFigures, live_figures
from waitline.sales.live_view.samples import MetricChange, Reading, parse_page
from waitline.sales.live_view.screen import Screen

EVIL = "\x1b[31m<b>\u202e\n대\u2028\x85기실 [/bold] :smile:"


def page(entered: int, enters: int, failed: int = 0, room: str = "demo", cpu: float = 0.0) -> str:
    shared = 'instance="a",service="queue"'
    enter = f'method="POST",uri="/api/v1/queue/enter",{shared}'
    name = room.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f"""
# HELP queue_wait_size Visitors waiting
# TYPE queue_wait_size gauge
queue_wait_size{{concert_id="{name}",{shared}}} 120.0
queue_active_size{{concert_id="{name}",{shared}}} 40.0
queue_active_limit{{concert_id="{name}",{shared}}} 50.0
queue_entry_count_total{{concert_id="{name}",{shared}}} {entered}
queue_exit_count_total{{concert_id="{name}",reason="left",{shared}}} 10
queue_admission_reason{{concert_id="{name}",reason="busy",{shared}}} 1.0
queue_admission_reason{{concert_id="{name}",reason="full",{shared}}} 0.0
scheduler_concerts_count{{scheduler_type="admit",{shared}}} 3
http_server_requests_seconds_bucket{{status="201",le="0.01",{enter}}} {enters}
http_server_requests_seconds_bucket{{status="201",le="0.1",{enter}}} {enters}
http_server_requests_seconds_bucket{{status="201",le="+Inf",{enter}}} {enters}
http_server_requests_seconds_count{{status="201",{enter}}} {enters}
http_server_requests_seconds_sum{{status="201",{enter}}} 1.0
http_server_requests_seconds_bucket{{status="503",le="0.01",{enter}}} 0
http_server_requests_seconds_bucket{{status="503",le="0.1",{enter}}} {failed}
http_server_requests_seconds_bucket{{status="503",le="+Inf",{enter}}} {failed}
http_server_requests_seconds_count{{status="503",{enter}}} {failed}
http_server_requests_seconds_sum{{status="503",{enter}}} 1.0
service_processes{{{shared}}} 2.0
process_cpu_seconds_total{{{shared}}} {cpu}
process_resident_memory_bytes{{{shared}}} 8e7
no metric at all
"""


def reading(at_s: float, *sources: str) -> Reading:
    found: Reading = {}
    for number, text in enumerate(sources):
        found |= parse_page(text, at_s, f"http://{number}", lambda _name: True)
    return found


def figures(before: Reading, after: Reading) -> LiveFigures:
    failures = {"http://0": None}
    return live_figures(MetricChange(before, after), 2.0, failures, "2026-11-30T12:34:56Z")


def test_rates_and_percentiles_are_of_the_interval() -> None:
    found = figures(
        reading(10.0, page(100, 1_000, 5, cpu=1.0)), reading(12.0, page(150, 1_090, 15, cpu=1.5))
    )
    (room,) = found.rooms
    assert (room.waiting, room.active, room.active_max) == (120, 40, 50)
    assert (room.entered_per_s, room.left_per_s, room.reason) == (25.0, 0.0, "busy")
    (call,) = found.calls
    assert (call.call, call.per_s, call.failed_per_s) == ("POST /api/v1/queue/enter", 50.0, 5.0)
    # 90 % of them within 10 ms; the others between 10 and 100 ms.
    assert call.p50_ms == pytest.approx(5.56, abs=0.01)
    assert call.p95_ms == pytest.approx(55, abs=0.1)
    (instance,) = found.instances
    assert (instance.processes, instance.per_s, instance.cpu_cores) == (2, 50.0, 0.25)
    assert (found.rooms_total, found.box_office) == (3, None)


def test_rooms_are_the_same_for_all_instances_and_requests_are_added() -> None:
    one, later = page(100, 1_000), page(120, 1_100)
    other = one.replace('instance="a"', 'instance="b"')
    other_later = later.replace('instance="a"', 'instance="b"')
    found = figures(reading(0.0, one, other), reading(2.0, later, other_later))
    assert [room.entered_per_s for room in found.rooms] == [10.0]
    assert [call.per_s for call in found.calls] == [100.0]
    assert [(row.instance, row.per_s) for row in found.instances] == [("a", 50.0), ("b", 50.0)]


def test_after_a_restart_counters_begin_at_zero() -> None:
    found = figures(reading(0.0, page(100, 1_000)), reading(2.0, page(100, 30)))
    assert found.calls[0].per_s == 15.0


def test_what_is_new_has_counted_since_but_a_room_has_not() -> None:
    before = {
        series: point
        for series, point in reading(0.0, page(100, 1_000)).items()
        if series[0] in {"service_processes", "scheduler_concerts_count"}
    }
    found = figures(before, reading(2.0, page(100, 80)))
    assert found.calls[0].per_s == 40.0
    assert found.rooms[0].entered_per_s is None


def test_a_source_that_was_not_read_before_has_no_rates() -> None:
    found = figures({}, reading(2.0, page(100, 80)))
    assert found.calls == []
    assert found.rooms[0].waiting == 120


def test_the_document() -> None:
    found = figures(reading(0.0, page(1, 1, room=EVIL)), reading(2.0, page(5, 9, room=EVIL)))
    document = msgspec.json.decode(msgspec.json.encode(found))
    assert document.keys() == {
        "at", "intervalS", "sources", "rooms", "roomsTotal", "roomsOmitted", "admitters",
        "decisionsPerS", "calls", "instances", "boxOffice",
    }  # fmt: skip
    assert document["sources"] == [{"address": "http://0", "failure": None}]
    assert document["rooms"][0]["room"] == EVIL
    assert document["rooms"][0]["enteredPerS"] == 2.0


def shown(found: LiveFigures, width: int, height: int, *, fits: bool = True) -> str:
    console = Terminal(width=width, height=height, force_terminal=False)
    with console.capture() as caught:
        console.print(Screen(found, fits=fits))
    return caught.get()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (120, 50), (60, 20)])
def test_it_fits_into_a_terminal(width: int, height: int) -> None:
    rooms = [page(1, 1, room=f"room-{number}-{'x' * 90}") for number in range(40)]
    rooms[0] = page(1, 1, room=EVIL)
    calls = [text.replace("queue/enter", f"call/{number}") for number, text in enumerate(rooms)]
    found = figures(
        reading(0.0, *calls),
        reading(2.0, *(text.replace("} 1\n", "} 9\n") for text in calls)),
    )
    lines = shown(found, width, height).splitlines()
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert "\x1b" not in text
    assert "\u202e" not in text
    for words in ("12:34:56 UTC", "more rooms", "more calls"):
        assert words in text


def test_names_are_shown_as_they_are() -> None:
    found = figures({}, reading(2.0, page(1, 1, room=EVIL)))
    text = shown(found, 140, 40)
    assert "\\x1b[31m<b>\\u202e\\x0a대\\u2028\\x85기실 [/bold] :smile:" in text


def test_a_source_that_fails_is_named() -> None:
    found = live_figures(
        MetricChange({}, {}), 2.0, {"http://b:9081": "Connection refused"}, "2026-11-30T12:34:56Z"
    )
    assert "http://b:9081: Connection refused" in shown(found, 80, 24)


@pytest.mark.parametrize(
    ("line", "labels", "value"),
    [
        ("queue_x 5", {}, 5.0),
        ('queue_x{a="1"} 5e3', {"a": "1"}, 5_000.0),
        ('queue_x{a="1",b="x\\"} 7\\n\\\\",} 5', {"a": "1", "b": 'x"} 7\n\\'}, 5.0),
    ],
)
def test_lines_of_the_text_format(line: str, labels: dict[str, str], value: float) -> None:
    ((series, point),) = parse_page(line, 1.0, "s", lambda _name: True).items()
    assert dict(series[1]) == {**labels, "source": "s"}
    assert point.value == value


NO_SAMPLES = ["", "# HELP x", "{} 5", 'x{a="1"}', "x five", "<html>", "x NaN", "x +Inf", "x 1e400"]


@pytest.mark.parametrize("line", NO_SAMPLES)
def test_lines_that_are_none(line: str) -> None:
    assert parse_page(line, 1.0, "s", lambda _name: True) == {}
