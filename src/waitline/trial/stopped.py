"""Embedded servers of a stopped installation, started for the duration of one command."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydantic import SecretStr

from waitline.kernel.errors import Misconfigured, WaitlineError
from waitline.settings import Settings
from waitline.trial.embedded_server import FolderInUseError
from waitline.trial.postgres_server import PostgresServer
from waitline.trial.valkey_cluster import (
    CLUSTER_FOLDER,
    ValkeyCluster,
    embedded_line,
    stored_size,
)
from waitline.trial.valkey_server import ValkeyServer

LOAD_S = 60.0
"""Timeout, in s, for an embedded server to load its data."""


class StillRunning(WaitlineError):  # noqa: N818 - reads as the outcome it is
    """A `waitline up` runs on the data folder, which the command needs for itself."""


@contextmanager
def opened(settings: Settings) -> Iterator[Settings]:
    """Start the embedded servers of a data folder, and stop them at the end.

    Stores with a configured address are left alone.

    Args:
        settings: The installation's settings.

    Yields:
        The settings with the addresses of both stores, or of one if the other was never created.

    Raises:
        Misconfigured: The folder has no data of embedded servers, and no addresses are given.
        StillRunning: A `waitline up` runs on the folder.
        StartError: A server does not start.
    """
    folder = settings.data_dir.absolute()
    with ExitStack() as stack:
        addresses: dict[str, object] = {}
        if settings.valkey_url is None:
            cluster = stored_size(folder / CLUSTER_FOLDER)
            if cluster is None and not (folder / "valkey").is_dir():
                raise Misconfigured(
                    f"there is no installation in {folder}: name its folder with --data-dir, or "
                    "its stores with --valkey-url and --database-url"
                )
            valkey = embedded_line(settings.model_copy(update={"data_dir": folder}), cluster)
            _start(stack, valkey)
            addresses["valkey_url"] = SecretStr(valkey.url)
        if settings.database_url is None and (folder / "postgres" / "data").is_dir():
            postgres = PostgresServer(folder / "postgres")
            _start(stack, postgres)
            addresses["database_url"] = SecretStr(postgres.url)
        yield settings.model_copy(update=addresses)


def _start(stack: ExitStack, server: ValkeyServer | ValkeyCluster | PostgresServer) -> None:
    stack.callback(server.stop)
    try:
        server.start(LOAD_S)
    except FolderInUseError as error:
        raise StillRunning(
            f"{error}: stop the installation first (Ctrl-C where `waitline up` runs)"
        ) from None
