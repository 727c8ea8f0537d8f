"""`waitline-bench gate`: a small run of every side."""

import json
from pathlib import Path

import pytest

from tests import nginx
from tests.web.stack import waitline_bench

pytestmark = [pytest.mark.long, nginx.needed]


def test_the_gate_is_measured_by_itself_and_behind_nginx(tmp_path: Path) -> None:
    done = waitline_bench("gate", "--seconds", "1", "--rounds", "1", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "gate.json").read_text("utf-8"))["figures"]
    calls, fronts = ([row["name"] for row in figures[part]] for part in ("calls", "nginx"))
    assert calls == ["empty handler", "good pass", "no pass: redirect", "bypass"]
    assert fronts == ["nginx, no gate", "each request asks", "answers kept"]
    # How fast it was is not for a test to say.
    for first, *others in (figures["calls"], figures["nginx"]):
        assert first["ratio"] == {"median": 1, "least": 1, "most": 1}
        assert all(row["per_s"] > 0 and row["per_core"]["median"] > 0 for row in others)
