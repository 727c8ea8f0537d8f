"""Protocol between the command and its generator processes: JSON lines on stdin and stdout."""

import gc
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

_LINE_BYTES_MAX = 4_096


def receive() -> dict[str, Any] | None:
    """Return the next order; `None` at the end of stdin, which ends the process."""
    line = b""
    while not line.endswith(b"\n"):
        # Read byte by byte: anything after the line must stay in the pipe for the event loop.
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
    """Turn the garbage collector off: a loop over bytes and numbers leaves no cycles."""
    gc.collect()
    gc.freeze()
    gc.disable()
