"""`waitline report panels`: draw a dashboard without Grafana."""

import asyncio
import re
from pathlib import Path
from typing import Annotated

import typer

from waitline.cli import options
from waitline.kernel.clock import SystemClock
from waitline.kernel.terminal import Terminal

File = Annotated[Path, typer.Argument(help="Dashboard file: deploy/grafana/waitline-overview.json")]
Address = Annotated[str, typer.Option(help="Address of Prometheus")]
Minutes = Annotated[
    float, typer.Option(help="How many minutes back, until now", min=0.1, max=43_200)
]
OneRoom = Annotated[str | None, typer.Option(help="Only this room", show_default="all rooms")]
OneInstance = Annotated[
    str | None, typer.Option(help="Only this instance", show_default="all instances")
]
Out = Annotated[Path, typer.Option(help="Folder for the page, which is named after the file")]


def panels(
    dashboard: File,
    prometheus: Address = "http://127.0.0.1:9090",
    minutes: Minutes = 60.0,
    room: OneRoom = None,
    instance: OneInstance = None,
    out: Out = Path("out"),
) -> None:
    """Draw the panels of a dashboard from Prometheus, as one page, where no Grafana runs.

    Example: waitline report panels deploy/grafana/waitline-overview.json --minutes 30
    """
    # A late import: drawing is an extra, and takes longer to import than most commands run.
    from waitline.sales import panels as drawn  # noqa: PLC0415
    from waitline.sales.drawing import plots  # noqa: PLC0415

    found = drawn.load_dashboard(dashboard)
    plots.require()
    options.prepare_out(out)
    now_s = SystemClock().now_ms() / 1000
    span = drawn.DrawnTime(now_s - minutes * 60, now_s)
    chosen = {"room": room, "instance": instance}
    variables = {
        # Once for the regular expression, once for the text of PromQL around it.
        name: re.escape(value).replace("\\", "\\\\")
        for name, value in chosen.items()
        if value is not None
    }
    page = asyncio.run(drawn.draw(found, prometheus, span, variables))
    file = out / f"{dashboard.stem}.html"
    file.write_text(page, "utf-8")
    Terminal(stderr=True, soft_wrap=True).print(f"Panels: {file}")
