"""The README's trial: its own lines, run against a fresh installation as `make up` starts it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from waitline.trial.installation import Installation, start

README = Path(__file__).parents[2] / "README.md"
START = README.read_text("utf-8").partition("\n## Start\n")[2].partition("\n## ")[0]
LINES_S = 60.0


@pytest.fixture(scope="module")
def program() -> Iterator[Installation]:
    settings = {"mode": "trial", "sandbox_latency": "0"}
    with start(1, settings, box_office=True, batch_scheduling=False) as program:
        yield program


def here(text: str, program: Installation) -> str:
    """Return a text with the ports of an installation."""
    return text.replace(":8081", f":{program.port}").replace(":8080", f":{program.booking_port}")


def test_the_lines_of_curl_buy_a_seat_and_free_the_slot(program: Installation) -> None:
    (lines,) = re.findall(r"```sh\n(.*?)```", START, re.DOTALL)
    # Twice: who tries it again gets a second seat.
    for _ in range(2):
        done = subprocess.run(  # noqa: S603 - our own README
            ["/bin/bash", "-u", "-c", here(lines, program)],
            capture_output=True,
            text=True,
            timeout=LINES_S,
            check=True,
        )
        assert done.stderr == ""
        answers = [json.loads(line) for line in done.stdout.splitlines() if line]
        entered, turn, seats, paid, after = answers
        assert entered["data"]["status"] == "WAITING"
        assert turn["data"]["status"] == "READY"
        assert sum(one["available"] for one in seats["sections"]) >= 9_998
        assert paid["data"]["status"] == "COMPLETED"
        assert after["data"]["status"] == "NOT_FOUND"
        assert len(lines.splitlines()) <= 12


def test_its_addresses_lead_somewhere(program: Installation) -> None:
    addresses = re.findall(r"<(http://[^>]+)>", START)
    assert any(one.endswith("/rooms/demo") for one in addresses)
    for address in addresses:
        page = httpx.get(
            here(address, program), headers={"Accept": "text/html"}, follow_redirects=True
        )
        assert page.status_code == 200
    for port in (program.port, program.booking_port):
        for path in ("/", "/docs"):
            assert httpx.get(f"http://127.0.0.1:{port}{path}").status_code == 200
