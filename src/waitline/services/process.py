"""Start of a service: pass the settings to its workers through the environment, then run them.

Nothing here imports telemetry, which reads its folder from the environment at import: a process
must have its settings first.
"""

from pathlib import Path

from waitline import settings as chosen
from waitline.http import server
from waitline.kernel import garbage_collection
from waitline.kernel.process import log_to_stderr, stop_when_stdin_ends
from waitline.settings import Settings


def run(
    settings: Settings,
    factory: str,
    *,
    port: int,
    workers: int,
    metrics_dir: Path,
    until_stdin_ends: bool,
) -> None:
    """Run a service until it is stopped.

    Args:
        settings: The installation's settings.
        factory: `module:function` that makes a worker's application.
        port: Port that all workers share.
        workers: Processes.
        metrics_dir: Where all processes of the service keep their figures.
        until_stdin_ends: Whether to stop with the parent process. The parent clears `metrics_dir`
            then, since other processes of it may use the folder already.
    """
    chosen.share_metrics(metrics_dir, fresh=not until_stdin_ends)
    chosen.export(settings)
    log_to_stderr()
    chosen.log_ignored_variables()
    if until_stdin_ends:
        stop_when_stdin_ends()
    server.serve(factory, host=settings.host, port=port, workers=workers)


def start_worker() -> Settings:
    """Prepare a worker process; return the settings from its environment."""
    log_to_stderr()
    garbage_collection.settle()
    return chosen.load()
