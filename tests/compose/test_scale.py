"""The composition with several instances of each service, and their monitoring."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.compose.composition import SOON_S, Composition, Show
from tests.compose.composition import running as running_composition
from tests.compose.engine import Engine, needed
from tests.compose.proofs import Proofs, Updates, inside
from tests.http_client import Client
from tests.until import until

__all__ = ["inside"]

# Instances by their management port: queue, booking, admitter.
INSTANCES = {"9081": 3, "9080": 2, "9082": 2}

# 5 000 visitors a second for 2 s, a hundredth of it; fewer may come on a busy machine.
LOAD = {"ROOM": "load", "SIZE": "10k", "SCALE": "0.01"}
ARRIVALS = 50

pytestmark = [needed, pytest.mark.long]


@pytest.fixture(scope="module")
def running(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    engine.add_prometheus()
    with running_composition(engine, tmp_path_factory.mktemp("scale"), "single", "scale") as made:
        yield made


@pytest.fixture(scope="module")
def show(running: Composition) -> Show:
    return running.on_sale("spring")


class TestScale(Proofs, Updates):
    killed = ("queue", "booking", "prometheus")

    def test_prometheus_has_every_instance_and_our_alerts(
        self, running: Composition, show: Show
    ) -> None:
        with Client(f"http://{running.address('prometheus')}:9090") as prometheus:

            def up() -> dict[str, int]:
                found = prometheus.get("/api/v1/targets").json()["data"]["activeTargets"]
                ports = Counter(one["labels"]["instance"].rpartition(":")[2] for one in found)
                return ports if all(one["health"] == "up" for one in found) else {}

            until(lambda: up() == INSTANCES, SOON_S, "every instance is scraped")
            groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
            rules = {rule["name"] for group in groups for rule in group["rules"]}
            assert "WaitlineDown" in rules

            def entered() -> float:
                query = {"query": f'sum(queue_entry_count_total{{concert_id="{show.room}"}})'}
                result = prometheus.get("/api/v1/query", params=query).json()["data"]["result"]
                return float(result[0]["value"][1]) if result else 0.0

            until(lambda: entered() >= 1, SOON_S, "a join is counted")

    def test_k6_sends_the_entry_scenario_through_nginx(self, running: Composition) -> None:
        running.tools("rooms", "create", "load", "--mode", "paused")
        variables = [f"{name}={value}" for name, value in LOAD.items()]
        words = [word for variable in variables for word in ("-e", variable)]
        # The machine may be too busy for its thresholds (exit status 99), which is no failure here.
        running.compose("run", "--rm", "-T", "--no-deps", *words, "k6", check=False)
        assert running.waiting("load") >= ARRIVALS
