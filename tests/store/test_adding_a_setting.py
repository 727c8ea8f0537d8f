"""A setting is declared in one place: what is added there appears everywhere."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import waitline
from tests.processes import environment
from tests.servers import Server

DECLARATION = """
    grace_ms: Annotated[
        int,
        Setting(wire="graceSeconds", help="Time to think", unit="ms", least=0, most=60_000),
    ] = 1_500
"""
OF_A_SCHEDULE = """
    balcony_max: Annotated[
        int,
        Setting(wire="balconyMax", help="Seats upstairs", unit="seats", least=0, most=50),
    ] = 7
"""
BEFORE = "\n    def __post_init__(self)"


@pytest.fixture
def added(valkey: Server, tmp_path: Path) -> Any:  # noqa: ANN401 - JSON
    """What a copy of the product, with one setting more, says of it."""
    copy = tmp_path / "waitline"
    shutil.copytree(
        Path(waitline.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    for path, declaration in (
        (copy / "queue" / "limits.py", DECLARATION),
        (copy / "booking" / "catalogue_model.py", OF_A_SCHEDULE),
    ):
        text = path.read_text("utf-8")
        # The first is that of the limits, or of the schedule's settings.
        path.write_text(text.replace(BEFORE, declaration + BEFORE, 1), "utf-8")
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, Path(__file__).with_name("added_setting.py"), valkey.url],
        env={**environment(), "PYTHONPATH": str(tmp_path), "WAITLINE_ROOM_GRACE_MS": "2000"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_setting_that_is_declared_appears_everywhere(added: Any, valkey: Server) -> None:  # noqa: ANN401 - JSON
    assert added["default"] == 1_500

    http = added["http"]
    # In s on the wire; a new room's is the environment's.
    seconds = [http[answer]["graceSeconds"] for answer in ("created", "changed", "shown")]
    assert seconds == [2, 2.5, 2.5]
    assert http["refused"] == "graceSeconds: must be from 0 to 60"
    for schema in ("RoomChangeBody", "NewRoomBody", "RoomView"):
        assert http["schemas"][schema]["properties"]["graceSeconds"]["description"] == (
            "Time to think"
        )

    typed = added["command line"]
    assert re.search(r"--grace-seconds .*Time to think \[0 to 60 s\]", typed["help"])
    assert typed["changed"]["grace_ms"] == 3_000
    assert typed["refused"] == "--grace-seconds: must be from 0 to 60"

    assert added["variables"]["WAITLINE_ROOM_GRACE_MS"] == "Time to think (new rooms, in ms)"
    assert (
        "| `graceSeconds` | `--grace-seconds` | `WAITLINE_ROOM_GRACE_MS`, in ms |"
        in (added["table"])
    )
    # And a script of the room finds it where it finds the others.
    assert valkey.wait(valkey.command("HGET", "wl:{r}:room", "grace_ms")) == "3000"

    schedule = added["schedule"]
    member = schedule["body"]["balconyMax"]
    assert (member["default"], member["minimum"], member["maximum"]) == (7, 0, 50)
    assert schedule["view"]["balconyMax"] == {"type": "integer"}
    assert re.search(r"--balcony-max .*Seats upstairs \[0 to 50 seats\]", schedule["help"])
    assert "| schedule | `balconyMax` | `--balcony-max` | 0 to 50 seats | 7 |" in schedule["table"]
