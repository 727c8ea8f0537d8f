"""Metrics of Valkey: what is taken from INFO, and which servers count as new."""

from collections.abc import Mapping

import pytest

from waitline.kernel import telemetry
from waitline.kernel.errors import Unavailable
from waitline.services.queue.store_metrics import StoreMetrics
from waitline.valkey.client import ValkeyClient

INFO = """# Server
run_id:{run_id}
# Clients
connected_clients:7
used_memory:1000
maxmemory:{limit}
total_commands_processed:50
evicted_keys:0
used_cpu_sys:1.5
used_cpu_user:2.5
rdb_last_bgsave_status:ok
aof_last_write_status:{saved}
connected_slaves:{replicas}
slave0:ip=10.0.0.2,port=6379,state=online,offset=900,lag=1
slave1:ip=10.0.0.3,port=6379,state=online,offset=400,lag=0
master_repl_offset:1000
"""


def info(run_id: str = "a", *, limit: int = 0, saved: str = "ok", replicas: int = 0) -> str:
    return INFO.format(run_id=run_id, limit=limit, saved=saved, replicas=replicas)


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> StoreMetrics:
    monkeypatch.setattr(telemetry.STORE_CHANGES, "values", {})
    return StoreMetrics(ValkeyClient("redis://nowhere.invalid:1"))


def converted(metrics: StoreMetrics, infos: Mapping[str, object]) -> dict[tuple[str, str], float]:
    return {
        (metric.family.exposed, labels[0]): value
        for metric in metrics.converted(infos)
        for labels, value in metric.values
    }


def test_figures(metrics: StoreMetrics) -> None:
    infos = {
        "one:1": info(limit=5_000, replicas=2),
        "two:1": info("b", saved="err"),
        "three:1": Unavailable("down"),
    }
    found = converted(metrics, infos)
    assert {node for _, node in found} == {"one:1", "two:1"}
    assert found["store_memory_limit_bytes", "one:1"] == 5_000
    assert ("store_memory_limit_bytes", "two:1") not in found
    assert found["store_replica_lag_bytes", "one:1"] == 600, "the slowest"
    assert ("store_replica_lag_bytes", "two:1") not in found
    assert found["store_cpu_seconds_total", "one:1"] == 4
    assert [found["store_saving", node] for node in ("one:1", "two:1")] == [1, 0]


@pytest.mark.parametrize(
    ("rounds", "changes"),
    [
        pytest.param([["a", "b"], ["a", "b"]], 0, id="the same"),
        pytest.param([["a", "b"], ["c", "b"]], 1, id="another server"),
        pytest.param([["a"], [None], ["a"]], 0, id="it was down for a while"),
        pytest.param([["a"], [None], ["c"]], 1, id="another after that"),
        pytest.param([["a"], ["c"], ["a"]], 2, id="there and back"),
    ],
)
def test_a_server_in_place_of_another_is_counted(
    metrics: StoreMetrics, rounds: list[list[str | None]], changes: int
) -> None:
    for servers in rounds:
        infos = {
            f"n{number}": Unavailable("down") if one is None else info(one)
            for number, one in enumerate(servers)
        }
        converted(metrics, infos)
    assert telemetry.STORE_CHANGES.values.get((), 0) == changes
