"""Options that commands share, an option for each setting, and a connection to the store."""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from waitline import settings as chosen
from waitline.kernel import process
from waitline.kernel.errors import Misconfigured
from waitline.kernel.folders import prepare_folder
from waitline.kernel.ids import RoomId, TextInvalid, is_blank, normal_name, normal_text
from waitline.kernel.setting import Setting, SettingError
from waitline.settings import ServeMode, Settings
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient


def _setting(name: str, *flags: str, suffix: str = "", default: str = "") -> Any:  # noqa: ANN401 - what Typer returns
    """Return the option of a service setting, with the setting's help and default.

    Args:
        name: The setting.
        flags: Flags of the option; derived from the name unless given.
        suffix: Text to add to the help.
        default: The command's default, if it is not the setting's.
    """
    variable = chosen.VARIABLES[f"{chosen.PREFIX}{name.upper()}"]
    default = default or variable.default
    shown = f"; default {default}" if default else ""
    return typer.Option(
        *(flags or (chosen.option(name),)),
        help=f"{variable.meaning}{shown}{suffix}",
        show_default=False,
    )


DataDir = Annotated[Path | None, _setting("data_dir")]
ValkeyUrl = Annotated[str | None, _setting("valkey_url")]
Host = Annotated[str | None, _setting("host")]
QueuePort = Annotated[int | None, _setting("queue_port")]
Workers = Annotated[int | None, _setting("workers")]
BoxOffice = Annotated[bool | None, _setting("box_office", "--box-office/--no-box-office")]
BookingPort = Annotated[int | None, _setting("booking_port")]
BookingWorkers = Annotated[int | None, _setting("booking_workers")]
DatabaseUrl = Annotated[
    str | None,
    _setting(
        "database_url",
        suffix=". A password belongs in WAITLINE_DATABASE_URL, where other users of the machine "
        "cannot read it",
    ),
]
Mode = Annotated[ServeMode | None, _setting("mode")]
UpMode = Annotated[ServeMode | None, _setting("mode", default="trial")]
LogLevel = Annotated[process.LogLevel | None, _setting("log_level")]
LogFormat = Annotated[process.LogFormat | None, _setting("log_format")]
AccessLog = Annotated[float | None, _setting("access_log")]
UntilStdinEnds = Annotated[
    bool,
    typer.Option(
        "--until-stdin-ends",
        help="Stop when stdin ends, as it does when the parent process dies",
        hidden=True,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text")]


def _room_name(text: str | None) -> RoomId | None:
    """Return the name of a room in its normal form.

    Raises:
        Misconfigured: It is not a room name.
    """
    try:
        return None if text is None else RoomId(normal_name(text))
    except TextInvalid as error:
        raise Misconfigured(f"the name of a room {error}") from None


Room = Annotated[str, typer.Argument(help="Room name; `concertId` in the API", callback=_room_name)]
RoomOfSale = Annotated[str, typer.Option(help="Room of the sale", callback=_room_name)]
RoomLike = Annotated[
    str | None,
    typer.Option("--like", help="Take the limits of this room", callback=_room_name),
]
AuditedRoom = Annotated[str | None, typer.Option(help="Room to audit", callback=_room_name)]

T = TypeVar("T")

Asked = dict[str, Any]
"""Values of the options that were given, by setting name."""


def one_for_each(
    settings: Sequence[Setting], *, defaults: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command with an option per setting; the values given arrive as `asked`.

    Args:
        settings: The settings to add options for.
        defaults: Whether an omitted option has the setting's default, and is required if there is
            none. Otherwise an omitted option is not in `asked`.

    Raises:
        Misconfigured: By the command, when a value is not allowed. The message names the option.
    """

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:  # noqa: ANN401 - the parameters of any command
            found = {setting: given.pop(setting.name) for setting in settings}
            try:
                asked = {
                    setting.name: setting.from_wire(value)
                    for setting, value in found.items()
                    if value is not None
                }
                command(asked=asked, **given)
            except SettingError as error:
                raise Misconfigured(f"{error.setting.option}: {error.reason}") from None

        added = [_option(setting, defaults=defaults) for setting in settings]
        signature = inspect.signature(command)
        parameters: list[inspect.Parameter] = []
        for parameter in signature.parameters.values():
            parameters += added if parameter.name == "asked" else [parameter]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return with_options


def _option(setting: Setting, *, defaults: bool) -> inspect.Parameter:
    """Return the parameter from which Typer makes the option of a setting."""
    text = setting.help
    if setting.wire_range is not None:
        text += f" [{setting.allowed}]"
    elif setting.is_time:
        text += f"; {setting.allowed}"
    kind, default = setting.wire_kind | None, None
    if defaults:
        kind = setting.wire_kind
        required = setting.default is None and not setting.is_time
        default = inspect.Parameter.empty if required else setting.default
    return inspect.Parameter(
        setting.name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=default,
        annotation=Annotated[kind, typer.Option(setting.option, help=text)],
    )


def short_text(option: str, given: str, chars_max: int) -> str:
    """Return a text in its normal form.

    Raises:
        Misconfigured: It is blank or too long, or has control characters. The message names the
            option.
    """
    try:
        text = normal_text(given).strip()
    except TextInvalid as error:
        raise Misconfigured(f"{option} {error}") from None
    if is_blank(text) or len(text) > chars_max:
        raise Misconfigured(f"{option}: must have 1 to {chars_max} characters")
    return text


def prepare_out(folder: Path, option: str = "--out") -> None:
    """Create the folder of a command's output, before the command begins its work.

    Raises:
        Misconfigured: It cannot be used.
    """
    prepare_folder(folder, option)


def with_store(settings: Settings, use: Callable[[ValkeyClient], Awaitable[T]]) -> T:
    """Connect to Valkey, run `use`, and close the connection.

    Raises:
        Misconfigured: No address is configured, and no `waitline up` is running.
        Unavailable: Valkey does not answer.
    """

    async def run() -> T:
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())
