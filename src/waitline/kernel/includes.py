"""Includes of Lua scripts and SQL files: what several of them share is written once.

A line `--@include NAME` is replaced by the file of that name in the folder `include` beside the
file, when the file is loaded. So the server gets one source, and a statement its own plan.
"""

import re
from importlib.resources.abc import Traversable
from pathlib import PurePath

_LINE = re.compile(r"^ *--@include (\w+)\n", re.MULTILINE)


def assemble(folder: Traversable, name: str) -> str:
    """Return the text of a file with what it includes.

    Args:
        folder: Folder of the file.
        name: Its name; what it includes ends alike.

    Raises:
        FileNotFoundError: The file, or one that it includes, is missing.
    """
    kind = PurePath(name).suffix
    return _LINE.sub(
        lambda line: folder.joinpath("include", line[1] + kind).read_text("utf-8"),
        folder.joinpath(name).read_text("utf-8"),
    )
