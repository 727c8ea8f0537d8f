"""Root file systems for the tests' images, made from Debian's packages and kept between runs.

`BASE` stands for the official Python image, `SERVERS` holds the servers whose official images the
compositions name. An archive is kept in the temporary folder under the digest of what it is made
from; an older one is removed.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.processes import environment

SUITE = "bookworm"

BASE = "base"
SERVERS = "debian-servers"

PACKAGES = {
    BASE: ("python3",),
    SERVERS: ("redis-server", "postgresql", "nginx-light", "prometheus"),
}
"""What each has beside a minimal Debian."""

# Seconds that Debian's packages may take to come and unpack.
MADE_S = 900.0

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(tempfile.gettempdir()) / "waitline-container-bases"


def prepared() -> dict[str, Path]:
    """Make what is missing; return the archive of each image."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return {name: _archive(name, packages) for name, packages in PACKAGES.items()}


def context(folder: Path) -> None:
    """Make the context of our images in a folder, as `make images` does."""
    _run("sh", "deploy/images/prepare", sys.executable, folder)


def _archive(name: str, packages: tuple[str, ...]) -> Path:
    key = hashlib.sha256(" ".join((SUITE, *packages)).encode()).hexdigest()[:16]
    archive = FOLDER / f"{name}-{key}.tar"
    if not archive.exists():
        for old in FOLDER.glob(f"{name}-*.tar"):
            old.unlink()
        with tempfile.TemporaryDirectory(prefix="wl-debian-") as folder:
            root = Path(folder) / "root"
            _run(
                *("debootstrap", "--variant=minbase", f"--include={','.join(packages)}"),
                *(SUITE, root),
            )
            draft = archive.with_suffix(f".{os.getpid()}")
            cached = ("./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*", "./dev/*")
            left_out = [f"--exclude={pattern}" for pattern in cached]
            _run("tar", "--create", "--file", draft, *left_out, "--directory", root, ".")
            draft.rename(archive)
    return archive


def _run(*words: str | Path) -> None:
    done = subprocess.run(  # noqa: S603 - the tests say what they run
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S,
        cwd=ROOT,
        env=environment(),
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
