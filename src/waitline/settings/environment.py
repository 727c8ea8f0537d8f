"""Environment variables: their list, and how the settings are loaded from them."""

import os
from collections.abc import Callable, Container, Iterator
from operator import attrgetter
from typing import Literal, NamedTuple, get_args, get_origin

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from waitline.kernel.errors import Misconfigured
from waitline.kernel.setting import Setting, SettingError, kebab, number
from waitline.queue.settings import LIMIT_SETTINGS
from waitline.settings.model import PREFIX, SECRET_CHARS_MIN, Settings

_OPTIONS = {"booking_workers": "--workers"}
"""Command-line options that are not named after their setting."""


def load(**chosen: object) -> Settings:
    """Load the settings from the environment; options of the command line override it.

    Args:
        chosen: Values of options by setting name; `None` for options that were not given.

    Raises:
        Misconfigured: A value is not allowed, or a variable is not known. The message names the
            option or the variable that the value came from.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    for name in os.environ:
        if name.startswith(PREFIX) and name not in VARIABLES and "_TEST_" not in name:
            raise Misconfigured(f"{name} is not a setting; `waitline settings` lists them")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks
    except ValidationError as error:
        raise Misconfigured(_complaint(error, given)) from None
    for name in ("operator_key", "payment_key", "webhook_secret"):
        secret: SecretStr | None = getattr(settings, name)
        if secret is not None and len(secret.get_secret_value()) < SECRET_CHARS_MIN:
            raise Misconfigured(
                f"{_called(name, given)}: must have at least {SECRET_CHARS_MIN} characters"
            )
    return settings


def _complaint(error: ValidationError, given: Container[str]) -> str:
    """Return one line on the first error, without the value, which may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    name, *inner = (str(part) for part in first["loc"])
    invalid = first.get("ctx", {}).get("error")
    if isinstance(invalid, SettingError):
        return f"{_called(f'{name}_{invalid.setting.name}', given)}: {invalid.reason}"
    if name == "room":
        name = "_".join((name, *inner))
    return f"{_called(name, given)}: {first['msg']}"


def _called(name: str, given: Container[str]) -> str:
    """Return the option or the variable through which the operator gave a setting."""
    return option(name) if name in given else f"{PREFIX}{name.upper()}"


def option(name: str) -> str:
    """Return the command-line option of a setting."""
    return _OPTIONS.get(name, f"--{kebab(name)}")


class Variable(NamedTuple):
    """One environment variable.

    Attributes:
        meaning: Its meaning, for people.
        values: The values allowed, for people.
        default: Its default; empty for none.
        secret: Whether its value is masked.
        read: Returns its value in the settings.
    """

    meaning: str
    values: str
    default: str
    secret: bool
    read: Callable[[Settings], object]


def _service_variables() -> Iterator[tuple[str, Variable]]:
    for name, field in Settings.model_fields.items():
        if name != "room":
            yield (
                f"{PREFIX}{name.upper()}",
                Variable(
                    meaning=field.description or "",
                    values=_allowed(field),
                    default=_default(field),
                    secret="SecretStr" in str(field.annotation),
                    read=attrgetter(name),
                ),
            )


def _room_variables() -> Iterator[tuple[str, Variable]]:
    for setting in LIMIT_SETTINGS:
        assert setting.most is not None
        unit = ", in ms" if setting.unit == "ms" else ""
        yield (
            room_variable(setting),
            Variable(
                meaning=f"{setting.help} (new rooms{unit})",
                values=f"{number(setting.least)} to {number(setting.most)}",
                default=number(setting.default),
                secret=False,
                read=attrgetter(f"room.{setting.name}"),
            ),
        )


def room_variable(setting: Setting) -> str:
    """Return the environment variable of a new room's limit."""
    return f"{PREFIX}ROOM_{setting.name.upper()}"


def _allowed(field: FieldInfo) -> str:
    """Return the values that a setting allows, for people."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    if kind is bool:
        return "true or false"
    if "SecretStr" in str(kind):
        return "a secret"
    ends = {type(note).__name__: note for note in field.metadata}
    if "Le" in ends:
        least = number(ends["Ge"].ge) if "Ge" in ends else f"above {number(ends['Gt'].gt)}"
        return f"{least} to {number(ends['Le'].le)}"
    return "text"


def _default(field: FieldInfo) -> str:
    """Return the default of a setting, for people."""
    if isinstance(field.json_schema_extra, dict) and "default" in field.json_schema_extra:
        return str(field.json_schema_extra["default"])
    match field.default:
        case None:
            return ""
        case bool():
            return str(field.default).lower()
        case float():
            return number(field.default)
        case _:
            return str(field.default)


VARIABLES: dict[str, Variable] = {**dict(_service_variables()), **dict(_room_variables())}
"""Every environment variable by name."""


def in_environment(variable: str) -> str | None:
    """Return the text of an environment variable, or `None` if it is not set."""
    return os.environ.get(variable)


def inherited() -> dict[str, str]:
    """Return this process's environment without any setting, for a separate installation."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "PROMETHEUS_MULTIPROC_DIR"
    }


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the settings added, for a child process."""
    values = {name: variable.read(settings) for name, variable in VARIABLES.items()}
    return {
        **os.environ,
        **{
            name: str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in values.items()
            if value is not None
        },
    }


def export(settings: Settings) -> None:
    """Put the settings into this process's environment, for its child processes."""
    os.environ.update(environment(settings))
