"""The queue service's processes: one that starts the workers, and the workers."""

from typing import TYPE_CHECKING

from waitline import settings as chosen
from waitline.services import process
from waitline.services.data_mode import claim_valkey
from waitline.settings import Settings

if TYPE_CHECKING:
    from waitline.services.queue.app import QueueWorker


def run(settings: Settings, *, until_stdin_ends: bool) -> None:
    """Run the service until it is stopped.

    Raises:
        Misconfigured: It has no store, or no TLS in front.
    """
    chosen.require_all(
        settings.store_url,
        settings.require_https,
        lambda: chosen.operator_key(settings),
        lambda: chosen.site_key(settings),
    )
    process.run(
        settings,
        "waitline.services.queue.process:worker",
        port=settings.queue_port,
        workers=settings.workers,
        management_port=settings.queue_management_port,
        role="queue",
        metrics_dir=settings.metrics_dir,
        claims=(claim_valkey,),
        until_stdin_ends=until_stdin_ends,
    )


def worker() -> "QueueWorker":
    """Build the application of one worker process."""
    # Takes long to import, and the process that starts the workers does without it.
    from waitline.services.queue.app import QueueWorker  # noqa: PLC0415

    settings = process.start_worker()
    return QueueWorker(settings, chosen.operator_key(settings), chosen.site_key(settings))
