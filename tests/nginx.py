"""nginx, as a proxy in front of the services."""

import grp
import os
import pwd
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import started
from tests.servers import IN_CI
from waitline.trial.machine import free_port

# Seconds until it listens, on a machine that runs other tests as well.
LISTENS_S = 20.0

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
needed = pytest.mark.skipif(
    NGINX is None and not IN_CI, reason="nginx is missing: apt-get install nginx-light"
)


@contextmanager
def running(config: str, folder: Path, port: int | None = None) -> Iterator[int]:
    """Run nginx with a configuration that has `listen 80;`; return the port that it is given."""
    port = port or free_port()

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with started(command(config, folder, port), {}, listens, LISTENS_S):
        yield port


def command(config: str, folder: Path, port: int) -> list[str | Path]:
    """Write such a configuration; return the command that runs nginx with it."""
    assert NGINX is not None
    config = config.replace("listen 80;", f"listen 127.0.0.1:{port};")
    config = config.replace("/var/log/nginx/", f"{folder}/")
    config = config.replace("/dev/shm/", f"{folder}/")  # noqa: S108 - in the configuration
    (folder / "waitline.conf").write_text(config, "utf-8")
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        # It has to write in our folder.
        f"user {pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name};\n"
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; {paths} include waitline.conf; }}\n",
        "utf-8",
    )
    return [NGINX, "-e", "stderr", "-p", folder, "-c", "nginx.conf"]
