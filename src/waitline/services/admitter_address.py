"""Management address of an admitter that runs by itself.

An admitter that shares the data folder of a queue service is on the page of that service. One on a
machine of its own has nobody to show its metrics, so it gets a management address as the services
have (decision 0051).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waitline import settings as chosen
from waitline.services import management_keeper
from waitline.settings import PREFIX, Settings

MODULE = "waitline.services.admitter_management"
"""Not imported here: what serves the address takes long to import."""


def metrics_dir(settings: Settings) -> Path:
    """Return where an admitter keeps its metrics.

    With an address of its own, not where a queue service looks: they would be counted twice.
    """
    if settings.admitter_management_port is None:
        return settings.metrics_dir
    return settings.admitter_metrics_dir


@contextmanager
def kept(settings: Settings) -> Iterator[Path]:
    """Keep the process running until the block ends, if it has an address; yield `metrics_dir`.

    Raises:
        Misconfigured: The address cannot be listened on.
    """
    port = settings.admitter_management_port
    if port is None:
        yield metrics_dir(settings)
        return
    chosen.export(settings)
    variable = f"{PREFIX}ADMITTER_MANAGEMENT_PORT"
    with management_keeper.kept(MODULE, settings.management_host, port, variable):
        yield metrics_dir(settings)
