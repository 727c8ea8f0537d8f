"""Folders named by the operator: created, and checked for write access at start-up."""

import os
import tempfile
from pathlib import Path

from waitline.kernel.errors import Misconfigured


def prepare_folder(folder: Path, option: str) -> None:
    """Create a folder unless it exists, and check that files can be written into it.

    Args:
        folder: The folder.
        option: The option or environment variable that names it, for messages.

    Raises:
        Misconfigured: It cannot be used; the message is one line.
    """
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise Misconfigured(f"{option}: {part} is a file; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misconfigured(
            f"{option}: cannot write to {folder}: {reason_of(error)}; name another folder"
        ) from None


def reason_of(error: OSError) -> str:
    """Return the operating system's reason for display: `Connection refused`."""
    # asyncio replaces the system's message with its own: "Connect call failed ('127.0.0.1', 1)".
    number = error.errno
    system = os.strerror(number) if number is not None and number > 0 else ""
    return system or error.strerror or str(error)
