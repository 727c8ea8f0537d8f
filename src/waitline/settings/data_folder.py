"""What an installation keeps in its data folder: metrics of its processes, the operator key."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from waitline.settings.model import Settings


def share_metrics(folder: Path, *, fresh: bool) -> None:
    """Let this process, and those that it starts, keep their metrics in one folder.

    Must come before `waitline.kernel.telemetry` is imported.

    Args:
        folder: `Settings.metrics_dir` or `Settings.booking_metrics_dir`.
        fresh: Whether to delete the metrics of processes that have ended.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def operator_key(settings: Settings) -> str:
    """Return the operator key: the one chosen, else that of the data folder.

    Generates it if the folder has none; only its owner can read the file.
    """
    if settings.operator_key is not None:
        return settings.operator_key.get_secret_value()
    path = settings.data_dir / "operator.key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Written beside it and linked into place: a process that starts now sees all of it or nothing.
    draft = settings.data_dir / f".operator.key.{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32), "utf-8")
            os.link(draft, path)
    draft.unlink(missing_ok=True)
    return path.read_text("utf-8").strip()
