"""Health, information and metrics."""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import kill

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.until import until
from tests.web.cast import Cast
from tests.web.stack import ENGLISH, SOON_S, Room, Stack, refused, succeeded
from waitline import __version__

SHARED = {"service", "instance"}

# The names that dashboards rely on, each with its own labels. Source: the wire contract.
METRICS = [
    ("queue_wait_size", {"concert_id"}),
    ("queue_active_size", {"concert_id"}),
    ("queue_throughput_users_per_second", {"concert_id"}),
    ("queue_estimated_wait_seconds", {"concert_id"}),
    ("queue_entry_count_total", {"concert_id"}),
    ("queue_exit_count_total", {"concert_id", "reason"}),
    ("scheduler_move_duration_seconds_bucket", {"concert_id", "le"}),
    ("scheduler_move_duration_seconds_count", {"concert_id"}),
    ("scheduler_move_users_total", {"concert_id"}),
    ("scheduler_cleanup_removed_total", {"concert_id"}),
    ("scheduler_lock_acquire_failures_total", {"scheduler_type", "concert_id"}),
    ("scheduler_concerts_count", {"scheduler_type"}),
    ("redis_script_duration_seconds_bucket", {"script", "le"}),
    ("http_server_requests_seconds_bucket", {"method", "uri", "status", "le"}),
    ("process_cpu_seconds_total", set()),
    ("process_resident_memory_bytes", set()),
    ("event_loop_lag_seconds", set()),
]

SCRIPTS = {
    "open", "change", "reset", "survey", "join", "status", "validate", "activate", "extend",
    "leave", "subscribe", "admit", "sweep",
}  # fmt: skip


def samples(stack: Stack) -> list[Sample]:
    families = text_string_to_metric_families(stack.metrics())
    return [sample for family in families for sample in family.samples]


def of_room(stack: Stack, room: Room) -> dict[tuple[str, str], float]:
    """Return a room's figures by metric and reason."""
    return {
        (sample.name, sample.labels.get("reason", "")): sample.value
        for sample in samples(stack)
        if sample.labels.get("concert_id") == room.name
    }


@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "서비스 상태입니다."), (ENGLISH, "Service status.")],
    ids=["ko", "en"],
)
def test_health(trial: Stack, headers: dict[str, str], message: str) -> None:
    response = trial.client.get("/api/v1/health", headers=headers)
    assert succeeded(response) == {"status": "UP", "redis": "UP", "kafka": "NOT_USED"}
    assert response.json()["message"] == message


@pytest.mark.parametrize("part", ["", "/liveness", "/readiness"], ids=["all", "live", "ready"])
def test_actuator_health(trial: Stack, part: str) -> None:
    response = trial.client.get(f"/actuator/health{part}")
    assert (response.status_code, response.json()["status"]) == (200, "UP")


def test_info(trial: Stack) -> None:
    body = trial.client.get("/actuator/info").json()
    app = {"name": "waitline", "version": __version__}
    about = {"service": "queue", "mode": "trial", "payments": "play money"}
    assert (body["status"], body["app"]) == ("UP", {**app, **about})
    assert succeeded(trial.client.get("/api/v1/info")) == about


@contextmanager
def halted_store(stack: Stack) -> Iterator[None]:
    """Let the store neither answer nor end."""
    url = (stack.data_dir / "valkey.url").read_text("utf-8")
    with closing(redis.Redis.from_url(url)) as db:
        pid = int(db.info("server")["process_id"])
    kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pid, signal.SIGCONT)


def test_a_store_that_does_not_answer(alone: Stack) -> None:
    room = alone.room(mode="paused")
    ticket = room.arrive()

    def ready() -> bool:
        answers = [alone.client.get("/actuator/health/readiness") for _ in range(4)]
        return all(answer.status_code == 200 for answer in answers)

    with alone.client.impatient(), halted_store(alone):
        until(lambda: not ready(), SOON_S, "readiness says no")
        response = alone.client.get("/actuator/health/readiness")
        assert (response.status_code, response.json()["status"]) == (503, "DOWN")
        response = alone.client.get("/api/v1/health")
        assert succeeded(response) == {"status": "DOWN", "redis": "DOWN", "kafka": "NOT_USED"}
        assert alone.client.get("/actuator/health/liveness").status_code == 200
        for answer in (room.enter("other"), room.status(), room.remove()):
            refused(answer, 503, "E003")
            assert int(answer.headers["retry-after"]) >= 1
        with room.subscribe() as stream:
            refused(stream, 503, "E003")
        refused(room.status("u", None, **ENGLISH), 503, "E003")
        # The figures of the processes are still reported.
        assert "http_server_requests_seconds_bucket" in alone.metrics()
    until(ready, SOON_S, "the store answers again")
    # What was asked for may have been done, but not half of it.
    data = succeeded(room.enter(), 201)
    assert data["token"] == ticket or data["isNewEntry"] is True


def test_every_metric_is_there_with_its_labels(trial: Stack, measured: Room, cast: Cast) -> None:
    assert cast.room.show()["admitted"] > 0
    seen: dict[str, list[set[str]]] = {}

    def complete() -> bool:
        seen.clear()
        for sample in samples(trial):
            seen.setdefault(sample.name, []).append(set(sample.labels))
        return {name for name, _ in METRICS} <= set(seen)

    until(complete, SOON_S, "every metric is there")
    for name, labels in METRICS:
        for found in seen[name]:
            assert found == labels | SHARED, name
    assert measured.show()["waiting"] > 0


def test_what_is_counted_of_a_room(trial: Stack) -> None:
    room = trial.room(admitPerSecond=1000, readySeconds=0.2)
    for name in ("lapses", "shops", "waits"):
        room.arrive(name)
        if name == "lapses":
            room.until(name, "EXPIRED")
            room.change(readySeconds=300)
        elif name == "shops":
            room.until(name, "READY")
            succeeded(room.remove(name))
            room.change(mode="paused")
    room.arrive("abandons")
    succeeded(room.remove("abandons"))
    expected = {
        ("queue_wait_size", ""): 1,
        ("queue_active_size", ""): 0,
        ("queue_entry_count_total", ""): 4,
        ("queue_exit_count_total", "lapsed"): 1,
        ("queue_exit_count_total", "left"): 1,
        ("queue_exit_count_total", "abandoned"): 1,
        ("queue_exit_count_total", "removed"): 0,
        ("queue_exit_count_total", "passed"): 0,
        ("scheduler_move_users_total", ""): 2,
        ("scheduler_cleanup_removed_total", ""): 1,
    }
    until(
        lambda: expected.items() <= of_room(trial, room).items(),
        SOON_S,
        "what happened is counted",
    )


def test_requests_are_counted_by_route(trial: Stack) -> None:
    room = trial.room(mode="paused")
    room.arrive()
    assert room.now_serving().status_code == 200
    trial.client.get("/made/up")
    trial.client.request("PROPFIND", "/made/up")
    wanted = {
        ("POST", "/api/v1/queue/enter", "201"),
        ("GET", "/api/v1/rooms/{room}/now-serving", "200"),
        ("GET", "unknown", "404"),
        ("OTHER", "unknown", "404"),
    }

    def counted() -> bool:
        found = {
            (sample.labels["method"], sample.labels["uri"], sample.labels["status"])
            for sample in samples(trial)
            if sample.name == "http_server_requests_seconds_count"
        }
        assert not any(room.name in uri or "made" in uri for _, uri, _ in found)
        return wanted <= found

    until(counted, SOON_S, "the requests are counted")


def test_every_script_is_timed(trial: Stack, cast: Cast) -> None:
    room = cast.elsewhere
    room.arrive()
    room.change(mode="paused")
    succeeded(trial.client.post(f"/api/v1/rooms/{room.name}/reset", headers=trial.operator))
    for answer in (room.extend(), room.activate(), room.validate(), room.remove()):
        assert answer.status_code in (200, 404)
    visitor = cast.somebody("WAITING")
    with visitor.room.subscribe(visitor.name) as stream:
        assert stream.status_code == 200

    def timed() -> bool:
        found = {sample.labels.get("script") for sample in samples(trial)}
        return found >= SCRIPTS

    until(timed, SOON_S, "every script has been timed")
