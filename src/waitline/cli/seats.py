"""`waitline seats`: import, export, change and delete the seats of schedules."""

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from waitline.booking import currency as money
from waitline.booking import seat_plan
from waitline.booking.catalogue_model import SeatPlanInvalid
from waitline.booking.seat_changes import SeatChanges, booked, describe
from waitline.booking.seat_imports import (
    ImportChoice,
    SeatChoice,
    SeatPlan,
    SeatReport,
)
from waitline.cli import house_seats, options
from waitline.cli.catalogue_store import (
    CatalogueStore,
    ScheduleNumber,
    load,
    show,
    with_store,
    write_file,
)
from waitline.cli.change_log import who
from waitline.kernel.errors import Misconfigured
from waitline.kernel.escapes import visible
from waitline.kernel.ids import TextInvalid, is_blank, normal_text
from waitline.kernel.plurals import counted

FILE_BYTES_MAX = 32 * 1024 * 1024
"""Largest seat plan that is read, in bytes: four times the largest that the parser allows."""

Section = Annotated[str | None, typer.Option(help="Only seats of this section")]
Row = Annotated[str | None, typer.Option(help="Only seats of this row")]
Seat = Annotated[str | None, typer.Option(help="Only seats with this number in their row")]
Grade = Annotated[str | None, typer.Option(help="Only seats of this grade")]
All = Annotated[bool, typer.Option("--all", help="All seats of the schedule")]

app = typer.Typer(
    help="Import, export, change and delete the seats of a schedule.", no_args_is_help=True
)


@app.command("import")
def import_seats(
    schedule: ScheduleNumber,
    file: Annotated[Path, typer.Argument(help="Seat plan: a CSV file")],
    update: Annotated[
        bool,
        typer.Option("--update", help="Add and change seats of a schedule that already has some"),
    ] = False,
    remove_missing: Annotated[
        bool,
        typer.Option("--remove-missing", help="Also remove seats that are not in the file"),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change")] = False,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Import the seats of a schedule from a CSV file and put them on sale: all of them, or none.

    The first line of the file names the columns: section, row, seat, grade, price (in the
    concert's currency: 120000 or 120.50) and, optionally, position and label. The best rows come
    first. Errors are listed with their line numbers. CSV files saved by Excel are accepted.

    Example: waitline seats import 1 seats.csv
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    content = _content(file)
    choice = ImportChoice(update=update, remove_missing=remove_missing, dry_run=dry_run)

    async def use(store: CatalogueStore) -> SeatReport:
        return await store.seats.import_file(schedule, content, choice, who=who())

    try:
        report = with_store(settings, use)
    except SeatPlanInvalid as error:
        _refuse(str(file), error)
    changes = report.changes
    lines = _summary(schedule, changes, dry_run=dry_run)
    if dry_run:
        lines += describe(changes, report.currency)
    show(_values(schedule, changes, dry_run=dry_run), "\n".join(lines), as_json=as_json)


@app.command("export")
def export_seats(
    schedule: ScheduleNumber,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; standard output if omitted")
    ] = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
) -> None:
    """Export the seats of a schedule as a CSV file that `seats import` accepts.

    Example: waitline seats export 1 --out seats.csv
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    plan = with_store(settings, lambda store: store.seats.fetch_plan(schedule))
    content = seat_plan.render(plan.seats, plan.currency)
    write_file(out, content, counted(len(plan.seats), "seat"))


@app.command("set")
def change(
    schedule: ScheduleNumber,
    section: Section = None,
    row: Row = None,
    seat: Seat = None,
    grade: Grade = None,
    every: All = False,
    price: Annotated[
        str | None, typer.Option(help="New price in the concert's currency: 120000 or 120.50")
    ] = None,
    new_grade: Annotated[str | None, typer.Option(help="New grade")] = None,
    new_section: Annotated[str | None, typer.Option(help="New name of the section")] = None,
    new_row: Annotated[str | None, typer.Option(help="New name of the row")] = None,
    new_seat: Annotated[str | None, typer.Option(help="New number of the seat")] = None,
    label: Annotated[str | None, typer.Option(help="New label, which visitors see")] = None,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Change the seats that the options select: all of them, or none if one is booked.

    Example: waitline seats set 1 --section Floor --row A --price 150000
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    choice = _choice(SeatChoice(section, row, seat, grade), every=every)
    asked = {
        "grade": new_grade,
        "section": new_section,
        "row": new_row,
        "number": new_seat,
        "label": label,
    }
    values: dict[str, Any] = {
        name: _text(name, text) for name, text in asked.items() if text is not None
    }
    if not values and price is None:
        raise Misconfigured("nothing to change: give a new value, for example --price 150000")

    async def use(store: CatalogueStore) -> SeatReport:
        if price is not None:
            values["price"] = _price(price, await store.seats.fetch_plan(schedule))
        return await store.seats.edit(schedule, choice, values, who=who())

    _report_edit(schedule, _edited(settings, use), as_json=as_json)


@app.command("delete")
def delete(
    schedule: ScheduleNumber,
    section: Section = None,
    row: Row = None,
    seat: Seat = None,
    grade: Grade = None,
    every: All = False,
    data_dir: options.DataDir = None,
    database_url: options.DatabaseUrl = None,
    as_json: options.AsJson = False,
) -> None:
    """Delete the seats that the options select: all of them, or none if one is booked.

    Example: waitline seats delete 1 --section Floor --row Z
    """
    settings = load(data_dir=data_dir, database_url=database_url)
    choice = _choice(SeatChoice(section, row, seat, grade), every=every)

    async def use(store: CatalogueStore) -> SeatReport:
        return await store.seats.edit(schedule, choice, None, who=who())

    _report_edit(schedule, _edited(settings, use), as_json=as_json)


def _edited(settings: Any, use: Any) -> SeatReport:  # noqa: ANN401 - as `with_store` takes them
    try:
        report: SeatReport = with_store(settings, use)
    except SeatPlanInvalid as error:
        _refuse("the change", error)
    return report


def _report_edit(schedule: int, report: SeatReport, *, as_json: bool) -> None:
    changes = report.changes
    lines = [*_summary(schedule, changes, dry_run=False), *describe(changes, report.currency)]
    show(_values(schedule, changes, dry_run=False), "\n".join(lines), as_json=as_json)


def _summary(schedule: int, changes: SeatChanges, *, dry_run: bool) -> list[str]:
    """Describe changes in total."""
    lines: list[str] = []
    if changes.nothing:
        lines.append(f"Nothing to change: schedule {schedule} already has these seats.")
    elif dry_run:
        lines.append(
            f"Would add {counted(len(changes.added), 'seat')}, change {len(changes.changed):,} and "
            f"remove {len(changes.removed):,} in schedule {schedule}. Nothing was changed."
        )
        refused = booked(changes)
        if refused:
            labels = ", ".join(seat.label for seat in refused[:10])
            lines.append(f"Would be refused; reserved or sold: {labels}.")
    elif changes.changed or changes.removed:
        lines.append(
            f"Added {counted(len(changes.added), 'seat')}, changed {len(changes.changed):,} and "
            f"removed {len(changes.removed):,} in schedule {schedule}."
        )
    else:
        count = len(changes.added)
        on_sale = counted(count, "seat is", "seats are")
        lines.append(f"{on_sale} on sale in schedule {schedule}.")
    kept = len(changes.missing) - len(changes.removed)
    if kept:
        lines.append(
            counted(
                kept,
                "seat is not in the file and stays unchanged.",
                "seats are not in the file and stay unchanged.",
            )
        )
    return lines


def _values(schedule: int, changes: SeatChanges, *, dry_run: bool) -> dict[str, Any]:
    return {
        "scheduleId": schedule,
        "seats": 0 if dry_run else len(changes.added),
        "added": len(changes.added),
        "changed": len(changes.changed),
        "removed": len(changes.removed),
        "missing": len(changes.missing),
        "unchanged": changes.unchanged,
        "booked": len(booked(changes)),
        "dryRun": dry_run,
    }


def _content(file: Path) -> bytes:
    try:
        size = file.stat().st_size
        if size > FILE_BYTES_MAX:
            raise Misconfigured(
                f"{file} has {counted(size, 'byte')}; at most {FILE_BYTES_MAX:,} are allowed"
            )
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from None


def _refuse(what: str, error: SeatPlanInvalid) -> NoReturn:
    for line in error.errors:
        typer.secho(visible(f"{what}: {line}"), err=True, fg="red")
    raise Misconfigured(f"{what} has errors; no seat was imported or changed") from None


def _choice(choice: SeatChoice, *, every: bool) -> SeatChoice:
    if choice == SeatChoice() and not every:
        raise Misconfigured("select seats with --section, --row, --seat or --grade, or use --all")
    if choice != SeatChoice() and every:
        raise Misconfigured("--all: selects every seat; leave it out to select some of them")
    return choice


def _text(name: str, text: str) -> str:
    chars_max = seat_plan.TEXT_CHARS_MAX["seat" if name == "number" else name]
    option = "--label" if name == "label" else f"--new-{'seat' if name == 'number' else name}"
    try:
        text = normal_text(text.strip())
    except TextInvalid as error:
        raise Misconfigured(f"{option}: {error}") from None
    if is_blank(text) or len(text) > chars_max:
        raise Misconfigured(f"{option}: must have 1 to {chars_max} characters")
    return text


def _price(text: str, plan: SeatPlan) -> int:
    try:
        price = money.minor(text, plan.currency)
    except money.AmountError as error:
        raise Misconfigured(f"--price: {text[:20]!r} {error}") from None
    if price > seat_plan.PRICE_MAX:
        raise Misconfigured(f"--price: at most {money.shown(seat_plan.PRICE_MAX, plan.currency)}")
    return price


app.registered_commands += house_seats.app.registered_commands
