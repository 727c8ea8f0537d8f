"""Metrics of Valkey, from INFO of each primary when Prometheus scrapes."""

import re
from collections.abc import Iterator, Mapping

from waitline.http.metric_families import Collection, FamilySamples
from waitline.kernel import collected_metrics, telemetry
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import info_fields

NODES_SHOWN_MAX = collected_metrics.NODES_MAX
"""Primaries whose series are shown, the first by address."""

_OFFSET = re.compile(r"offset=(\d+)")

_GOOD = {"aof_last_write_status": "ok", "rdb_last_bgsave_status": "ok"}
"""What INFO says while the server can save. A server that never saves says so, too."""


class StoreMetrics:
    """Metrics of the primaries.

    Args:
        store: The client whose connections are used.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store
        self._known: set[str] = set()

    async def collect(self) -> list[FamilySamples]:
        """Return the metrics.

        Raises:
            Unavailable: No server answers.
        """
        return self.converted(await self._store.each("INFO", expects=("NOPERM",)))

    def converted(self, infos: Mapping[str, object]) -> list[FamilySamples]:
        """Convert the INFO of each primary, or its failure, by address."""
        found = Collection(collected_metrics.OF_STORE)
        servers: set[str] = set()
        for node, info in sorted(infos.items())[:NODES_SHOWN_MAX]:
            if not isinstance(info, BaseException):
                fields = info_fields(str(info))
                servers.add(fields.get("run_id", ""))
                for name, value in _figures(fields):
                    found.add(name, value, node)
        if self._known and servers - self._known:
            telemetry.STORE_CHANGES.add(len(servers - self._known))
        # A server that does not answer now is still known when it does again.
        self._known = servers if len(servers) >= len(infos) else self._known | servers
        return found.metrics()


def _figures(fields: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    yield "store_memory_bytes", float(fields["used_memory"])
    if int(fields["maxmemory"]):
        yield "store_memory_limit_bytes", float(fields["maxmemory"])
    yield "store_clients", float(fields["connected_clients"])
    yield "store_commands", float(fields["total_commands_processed"])
    yield "store_cpu_seconds", float(fields["used_cpu_sys"]) + float(fields["used_cpu_user"])
    yield "store_evicted_keys", float(fields["evicted_keys"])
    replicas = int(fields["connected_slaves"])
    yield "store_replicas", replicas
    offsets = [
        int(match[1])
        for number in range(replicas)
        if (match := _OFFSET.search(fields.get(f"slave{number}", "")))
    ]
    if offsets:
        behind = int(fields["master_repl_offset"]) - min(offsets)
        yield "store_replica_lag_bytes", float(max(0, behind))
    yield "store_saving", all(fields.get(name, good) == good for name, good in _GOOD.items())
