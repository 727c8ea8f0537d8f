"""An admitter with a data folder of its own: its metrics are on its own management address."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import environment, started
from tests.until import until
from tests.web.stack import SOON_S, UP_S, Stack, waitline
from waitline.trial.machine import free_port

ROUNDS = "scheduler_round_duration_seconds_count"


@pytest.fixture(scope="module")
def url(production: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The management address of a second admitter of a stack."""
    port = free_port()
    folder = tmp_path_factory.mktemp("admitter")
    store = (production.program.data_dir / "valkey.url").read_text("utf-8").strip()
    words = ["admitter", "--data-dir", str(folder), "--valkey-url", store]
    more = {
        "WAITLINE_ADMITTER_MANAGEMENT_PORT": str(port),
        "WAITLINE_INSTANCE": "second-machine",
        "WAITLINE_MODE": "production",
    }
    found = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{found}/actuator/health", timeout=SOON_S).status_code == 200
        except httpx.TransportError:
            return False

    argv: list[str | Path] = [sys.executable, "-m", "waitline", *words]
    with started(argv, {**environment(), **more}, answers, UP_S):
        yield found


def rounds(url: str) -> float:
    text = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
    found = re.search(rf"^{ROUNDS}{{(.*)}} (\S+)$", text, re.MULTILINE)
    assert found is None or found[1] == 'instance="second-machine",service="admitter"'
    return 0.0 if found is None else float(found[2])


def test_its_metrics_are_on_its_own_address_alone(production: Stack, url: str) -> None:
    until(lambda: rounds(url) > 0, SOON_S, "rounds are counted")
    before = rounds(url)
    until(lambda: rounds(url) > before, SOON_S, "the admitter goes on")
    page = httpx.get(f"{production.program.management_urls[0]}/actuator/prometheus", timeout=SOON_S)
    assert "second-machine" not in page.text
    assert re.search(r"^scheduler_admitters{.*} 2\.0$", page.text, re.MULTILINE)
    # Rooms and stores are reported by the queue service.
    own = httpx.get(f"{url}/actuator/prometheus", timeout=SOON_S).text
    assert "queue_wait_size" not in own
    assert re.search(r"^service_processes{.*} 2\.0$", own, re.MULTILINE)


def test_health_and_version(url: str) -> None:
    health = httpx.get(f"{url}/actuator/health/readiness", timeout=SOON_S)
    assert health.status_code == 200
    info = httpx.get(f"{url}/actuator/info", timeout=SOON_S).json()
    assert (info["app"]["service"], info["app"]["mode"]) == ("admitter", "production")
    assert (
        "/actuator/prometheus" in httpx.get(f"{url}/openapi.json", timeout=SOON_S).json()["paths"]
    )


def test_a_port_that_is_taken_ends_the_start_in_one_line(
    production: Stack, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = (production.program.data_dir / "valkey.url").read_text("utf-8").strip()
    monkeypatch.setenv("WAITLINE_ADMITTER_MANAGEMENT_PORT", url.rpartition(":")[2])
    monkeypatch.setenv("WAITLINE_MODE", "production")
    done = waitline("admitter", "--data-dir", tmp_path, "--valkey-url", store)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "waitline: cannot listen on the management address 127.0.0.1, port "
        f"{url.rpartition(':')[2]}: Address already in use; WAITLINE_ADMITTER_MANAGEMENT_PORT "
        "chooses another port, WAITLINE_MANAGEMENT_HOST another address"
    )
