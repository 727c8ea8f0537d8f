"""What a generator process hears from the command, and what it says to it: lines of JSON."""

import gc
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

_LINE_BYTES_MAX = 4_096


def receive() -> dict[str, Any] | None:
    """Return the next order; `None` if there will be no more, and the process is to end."""
    line = b""
    while not line.endswith(b"\n"):
        # By the byte: what comes after the line must stay where the loop looks for it.
        piece = os.read(0, 1)
        if not piece:
            return None
        line += piece
        assert len(line) <= _LINE_BYTES_MAX
    order: dict[str, Any] = json.loads(line)
    return order


def send(report: Mapping[str, Any]) -> None:
    """Report to the command."""
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def stop_collecting() -> None:
    """Never look for garbage again: a loop of bytes and numbers leaves no cycles behind."""
    gc.collect()
    gc.freeze()
    gc.disable()
