"""`waitline report panels`: files that are no dashboards, and servers that are no Prometheus."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from waitline.kernel.errors import Misconfigured
from waitline.sales import panels
from waitline.sales.metric_answers import ANSWER_BYTES_MAX
from waitline.sales.panels import DASHBOARD_BYTES_MAX, QUERIES_MAX, DrawnTime, draw, load_dashboard
from waitline.trial.machine import free_port

SPAN = DrawnTime(1_000_000.0, 1_000_600.0)


def dashboard(**panel: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    own = {"title": "Line", "targets": [{"expr": 'queue_wait_size{room=~"$room"}'}], **panel}
    return {"title": "Board", "panels": [own]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="not JSON"),
        pytest.param("[]", id="a list"),
        pytest.param('{"panels":' + "[" * 100_000, id="deep"),
        pytest.param('{"title": "x", "panels": []}', id="no panels"),
        pytest.param('{"title": "x", "panels": [{"targets": [{}]}]}', id="no expression"),
        pytest.param(
            json.dumps(dashboard(targets=[{"expr": "up"}] * (QUERIES_MAX + 1))), id="many"
        ),
        pytest.param("x" * (DASHBOARD_BYTES_MAX + 1), id="endless"),
    ],
)
def test_a_file_that_is_no_dashboard(tmp_path: Path, text: str) -> None:
    file = tmp_path / "board.json"
    file.write_text(text, "utf-8")
    with pytest.raises(Misconfigured, match=r"is not a dashboard of Grafana .* deploy/grafana/"):
        load_dashboard(file)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"cannot read the dashboard .*: No such file"):
        load_dashboard(tmp_path / "missing.json")


async def drawn(file: Path, reply: str, **variables: str) -> tuple[str, dict[str, str]]:
    """Draw a dashboard from a server that gives one reply; return the page and what it got."""
    asked: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        asked.update({name: str(value) for name, value in (await request.post()).items()})
        return web.Response(text=reply, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/query_range", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        page = await draw(load_dashboard(file), f"http://127.0.0.1:{port}/", SPAN, variables)
    finally:
        await runner.cleanup()
    return page, asked


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("not JSON", "malformed"),
        ("[]", "Expected `object`"),
        ("{}", "data"),
        ('{"x":' + "[" * 100_000, "nested too deeply"),
        (json.dumps({"data": {"result": [{"metric": {}}]}}), "values"),
        (json.dumps({"data": {"result": [{"metric": {}, "values": [[1, "x"]]}]}}), "float"),
        (json.dumps({"data": {"result": 5}}), "iterable"),
        pytest.param("[" + " " * ANSWER_BYTES_MAX, "more than", id="endless"),
        ('{"status":"error","error":"parse error: bad"}', "parse error: bad"),
    ],
)
def test_a_server_that_is_no_prometheus(tmp_path: Path, reply: str, reason: str) -> None:
    file = tmp_path / "board.json"
    file.write_text(json.dumps(dashboard()), "utf-8")
    with pytest.raises(Misconfigured, match=rf"{reason}.*--prometheus"):
        asyncio.run(drawn(file, reply))


def test_lines_thresholds_and_variables(tmp_path: Path) -> None:
    steps = {"steps": [{"value": None}, {"value": 5}, {"value": 5_000}]}
    board = dashboard(fieldConfig={"defaults": {"unit": "s", "thresholds": steps}})
    board["panels"][0]["targets"][0]["legendFormat"] = "{{concert_id}} <waits>"
    file = tmp_path / "board.json"
    file.write_text(json.dumps(board), "utf-8")
    series = [
        {
            "metric": {"concert_id": f"r{number}"},
            "values": [[1_000_060, str(number)], [1_000_120, "NaN"]],
        }
        for number in range(panels.LINES_MAX + 2)
    ]
    reply = json.dumps({"status": "success", "data": {"result": series}})
    page, asked = asyncio.run(drawn(file, reply, room="r\\\\.1"))
    assert asked["query"] == 'queue_wait_size{room=~"r\\\\.1"}'
    assert page.count("<svg") == 1
    assert "r7 &lt;waits&gt;" in page
    assert "r2 &lt;waits&gt;" in page
    assert "r1 &lt;waits&gt;" not in page, "the lowest of eight"
    assert ">5</text>" in page
    assert "5,000" not in page, "far above the lines"
    empty = json.dumps({"status": "success", "data": {"result": []}})
    assert "No data: Line." in asyncio.run(drawn(file, empty))[0]
