"""Environment variables: their list, and the environment of child processes."""

import os
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Literal, NamedTuple, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from waitline.kernel.setting import Setting, kebab, number
from waitline.queue.limits import LIMIT_SETTINGS
from waitline.settings.installation import PREFIX
from waitline.settings.model import Settings

_OPTIONS = {"booking_workers": "--workers"}
"""Command-line options that are not named after their setting."""


def option(name: str) -> str:
    """Return the command-line option of a setting."""
    return _OPTIONS.get(name, f"--{kebab(name)}")


class Variable(NamedTuple):
    """One environment variable.

    Attributes:
        meaning: Its meaning, for display.
        values: The values allowed, for display.
        default: Its default; empty for none.
        secret: Whether it is a secret: it can come from a file, and is masked.
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
    """Return the values that a setting allows, for display."""
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
    """Return the default of a setting, for display."""
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


FILE_SUFFIX = "_FILE"
"""`WAITLINE_PAYMENT_KEY_FILE` names a file that holds the secret, as orchestrators mount them."""

SECRET_FILES = {
    f"{name}{FILE_SUFFIX}": name for name, variable in VARIABLES.items() if variable.secret
}
"""Variables that name the file of a secret, with the variable that they stand for."""


def in_environment(variable: str) -> str | None:
    """Return the text of an environment variable, or `None` if it is not set."""
    return os.environ.get(variable)


def inherited() -> dict[str, str]:
    """Return this process's environment without any setting, for a separate installation."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the settings added, for a child process."""
    values = {name: variable.read(settings) for name, variable in VARIABLES.items()}
    return {
        **{name: value for name, value in os.environ.items() if name not in SECRET_FILES},
        **{
            name: str(value.get_secret_value() if isinstance(value, SecretStr) else value)
            for name, value in values.items()
            if value is not None
        },
    }


def export(settings: Settings) -> None:
    """Put the settings into this process's environment, for its child processes."""
    given = environment(settings)
    for name in SECRET_FILES:
        os.environ.pop(name, None)
    os.environ.update(given)
