"""Data folder of an installation: metrics of its processes, and the operator key."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from waitline.settings.model import Settings


def share_metrics(folder: Path, *, fresh: bool) -> None:
    """Set the metrics folder of this process and of those that it starts.

    Call this before `waitline.kernel.telemetry` is imported.

    Args:
        folder: `Settings.metrics_dir` or `Settings.booking_metrics_dir`.
        fresh: Whether to delete the metrics of processes that have ended.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def operator_key(settings: Settings) -> str:
    """Return the operator key: the configured one, else that of the data folder.

    Generates it if the folder has none; only its owner can read the file.
    """
    if settings.operator_key is not None:
        return settings.operator_key.get_secret_value()
    path = settings.data_dir / "operator.key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Atomic creation: a process that starts at the same time sees a complete file or none.
    draft = settings.data_dir / f".operator.key.{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32), "utf-8")
            os.link(draft, path)
    draft.unlink(missing_ok=True)
    return path.read_text("utf-8").strip()
