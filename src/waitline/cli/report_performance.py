"""`waitline report performance`: results of benchmarks as one page and one Markdown file."""

from pathlib import Path
from typing import Annotated

import typer

from waitline.cli import options
from waitline.kernel.terminal import Terminal

Folders = Annotated[
    list[Path],
    typer.Argument(help="Folders of results: the --out of waitline-bench; also those within them"),
]
Out = Annotated[Path, typer.Option(help="Folder for the report's files")]

NAME = "performance-report"


def performance(folders: Folders, out: Out = Path("out")) -> None:
    """Report results of waitline-bench: before and after, scale-out, targets, published results.

    Writes performance-report.html and .md, with the plots of the latter as files. Of several
    results of a benchmark, the latest is reported, and compared with the first.

    Example: waitline-bench hot-path --out out; waitline report performance out
    """
    # A late import: drawing is an extra, and takes longer to import than most commands run.
    from waitline.sales.drawing import plots  # noqa: PLC0415
    from waitline.sales.performance_report import content, markdown, page, results  # noqa: PLC0415

    plots.require()
    found = content.report(results.load_results(folders))
    options.prepare_out(out)
    html, text = out / f"{NAME}.html", out / f"{NAME}.md"
    html.write_text(page.html(found), "utf-8")
    text.write_text(markdown.markdown(found, NAME), "utf-8")
    for section in found.sections:
        for one in section.drawings:
            (out / f"{NAME}-{one.name}.svg").write_text(one.svg, "utf-8")
    console = Terminal(stderr=True, soft_wrap=True)
    console.print(f"{found.line}\nPage: {html}\nMarkdown: {text}")
