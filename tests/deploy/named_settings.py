"""Settings that files of deploy/ name, held against the product's own list."""

import re
from collections.abc import Iterable
from pathlib import Path

from waitline.settings import FILE_SUFFIX, VARIABLES

DEPLOY = Path("deploy")

_NAMED = re.compile(r"WAITLINE_[A-Z0-9_]+")


def unknown_settings(files: Iterable[Path]) -> list[str]:
    """Return the settings that the files name and the product does not have, with their file."""
    return [
        f"{file}: {name}"
        for file in files
        for name in _NAMED.findall(file.read_text("utf-8"))
        if name not in VARIABLES and name not in SECRETS_BY_FILE
    ]


SECRETS_BY_FILE = {
    f"{name}{FILE_SUFFIX}" for name, variable in VARIABLES.items() if variable.secret
}

ALIKE = {"WAITLINE_OPERATOR_KEY_FILE", "WAITLINE_SITE_KEY_FILE"}
"""Secrets that the queue service would generate for itself, each instance another one."""
