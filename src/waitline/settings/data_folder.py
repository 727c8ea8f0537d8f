"""Data folder of an installation: the operator key and the site key."""

import contextlib
import os
import secrets
from pathlib import Path

from waitline.kernel.errors import Misconfigured
from waitline.kernel.folders import prepare_folder
from waitline.settings.checks import SECRET_CHARS_MAX, secret_fault
from waitline.settings.model import Settings

DATA_DIR = "--data-dir"

_OURS = frozenset((
    "valkey", "valkey-cluster", "postgres", "keys", "operator.key", "site.key", "sandbox",
    "metrics", "booking-metrics", "valkey.url", "postgres.url",
))  # fmt: skip
"""Files that an installation keeps in its folder."""


def prepare_data_folder(settings: Settings) -> None:
    """Create the data folder of `waitline up`, or check that it may be used.

    Raises:
        Misconfigured: It cannot be written, or holds something else.
    """
    folder = settings.data_dir
    prepare_folder(folder, DATA_DIR)
    found = {path.name for path in folder.iterdir()}
    # Hidden files belong to shells, editors and mounts, and so does `lost+found`.
    foreign = {name for name in found - {"lost+found"} if not name.startswith(".")}
    if foreign and foreign.isdisjoint(_OURS):
        raise Misconfigured(
            f"{DATA_DIR}: {folder} holds other files ({min(foreign)}) and no data of Waitline; "
            "name a new or an empty folder"
        )


def operator_key(settings: Settings) -> str:
    """Return the operator key: the configured one, else that of the data folder.

    Generates it if the folder has none; only its owner can read the file.

    Raises:
        Misconfigured: The file cannot be read, or holds no valid secret.
    """
    if settings.operator_key is not None:
        return settings.operator_key.get_secret_value()
    return _generated(settings.data_dir, "operator.key")


def site_key(settings: Settings) -> str:
    """Return the key shared with protected sites: the configured one, else the data folder's.

    Raises:
        Misconfigured: As `operator_key`.
    """
    if settings.site_key is not None:
        return settings.site_key.get_secret_value()
    return _generated(settings.data_dir, "site.key")


def _generated(folder: Path, name: str) -> str:
    """Return the secret in a file of the data folder, which is created with the first call."""
    path = folder / name
    prepare_folder(folder, DATA_DIR)
    # Atomic creation: a process that starts at the same time sees a complete file or none.
    draft = folder / f".{name}.{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32), "utf-8")
            os.link(draft, path)
    draft.unlink(missing_ok=True)
    key = read_secret(path)
    fault = secret_fault(key)
    if fault is not None:
        raise Misconfigured(f"{path}: {fault}")
    return key


def read_secret(path: Path) -> str:
    r"""Return the secret in a file, without the line end of its only line.

    Editors and `echo` end a file with `\n`, or `\r\n`; the caller rejects other white space.

    Raises:
        Misconfigured: It cannot be read, or is not text.
    """
    try:
        with path.open("rb") as file:
            text = file.read(SECRET_CHARS_MAX + 3).decode()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{path} is not text in UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
