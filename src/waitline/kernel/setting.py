"""Setting: the one declaration of a value that operators choose. Pure.

A field of a frozen dataclass declares it: `active_max: Annotated[int, Setting(…)] = 50_000`. Name,
type and default are the field's. The check of its range, the API's bodies and answers, the
command-line option, the environment variable, OpenAPI and the tables of docs/operations.md are
derived from the declaration.
"""

import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from waitline.kernel.ids import REFUSED, TextInvalid, is_blank, normal_text
from waitline.kernel.instants import EXAMPLE, parse_instant, stored_instant

MS_PER_S = 1_000
"""Times are ms inside, and s on the wire and on the command line."""


class SettingError(ValueError):
    """A value is not allowed for a setting.

    Attributes:
        setting: The setting; API, command line and environment each have their own name for it.
        reason: What is allowed, in the unit of the value.
    """

    def __init__(self, setting: "Setting", reason: str) -> None:
        super().__init__(f"{setting.name}: {reason}")
        self.setting = setting
        self.reason = reason


TEXT_UNITS = ("characters", "bytes")
"""Units of text settings, in which their size is counted."""

TIME_UNIT = "time"
"""Unit of settings that are instants; on the wire they are texts in ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Names, range, unit and help of one setting, for every interface.

    Attributes:
        wire: The JSON member.
        help: Its meaning: one sentence without a full stop.
        unit: Unit of a number, or of the size of a text. `ms` becomes s on the wire and on the
            command line. `time` is an instant, or none.
        least: Smallest number or size allowed, in the field's own unit.
        most: Largest number or size allowed; `None` where the type says what is allowed.
        begins_with: Prefixes, one of which a non-empty text must have.
        multiline: Whether a text may have several lines.
        option: The command-line option; the wire name in kebab case if empty.
        name: The field's name. `declared` fills in this, `kind` and `default`.
        kind: The field's type.
        default: The field's default; `None` where there is none.
    """

    wire: str
    help: str
    unit: str = ""
    least: float = 0
    most: float | None = None
    begins_with: tuple[str, ...] = ()
    multiline: bool = False
    option: str = ""
    name: str = ""
    kind: Any = None
    default: Any = None

    @property
    def is_text(self) -> bool:
        """Whether it is a text."""
        return self.unit in TEXT_UNITS

    @property
    def is_time(self) -> bool:
        """Whether it is an instant, which may be left empty."""
        return self.unit == TIME_UNIT

    @property
    def wire_unit(self) -> str:
        """The unit on the wire and on the command line."""
        return "s" if self.unit == "ms" else self.unit

    @property
    def wire_kind(self) -> Any:  # noqa: ANN401 - a type, or a union of types
        """The type on the wire and on the command line."""
        if self.is_text or self.is_time:
            return str
        return float if self.unit == "ms" else self.kind

    @property
    def wire_range(self) -> tuple[float, float] | None:
        """The smallest and largest number allowed on the wire; `None` if it is not a number."""
        if self.most is None or self.is_text:
            return None
        return self.to_wire(self.least), self.to_wire(self.most)

    @property
    def allowed(self) -> str:
        """The values allowed on the wire and on the command line, for display."""
        if self.wire_range is not None:
            least, most = map(number, self.wire_range)
            return f"{least} to {most} {self.wire_unit}"
        if self.is_text:
            return self._size
        if self.is_time:
            return f"a time with UTC offset, such as {EXAMPLE}; empty: none"
        kinds = (self.kind, *get_args(self.kind))
        return ", ".join(
            choice
            for kind in kinds
            if isinstance(kind, type) and issubclass(kind, StrEnum)
            for choice in kind
        )

    @property
    def _size(self) -> str:
        assert self.most is not None
        if self.least == self.most:
            return f"{number(self.most)} {self.unit}"
        fewest = f"{number(self.least)} to" if self.least else "at most"
        return f"{fewest} {number(self.most)} {self.unit}"

    def to_wire(self, value: Any) -> Any:  # noqa: ANN401 - of the setting's type
        """Convert a value of the field to the wire."""
        if self.is_time:
            return value and value.iso
        return value / MS_PER_S if self.unit == "ms" else value

    def from_wire(self, value: Any) -> Any:  # noqa: ANN401 - of the setting's type
        """Convert a value from the wire or the command line to the field.

        Raises:
            SettingError: The value is out of range, a text with control characters, or a time
                without a UTC offset.
        """
        if self.is_text:
            return self.normal(value)
        if self.is_time:
            return self._instant(value)
        if self.wire_range is not None:
            self._check_range(value, *self.wire_range)
        return round(value * MS_PER_S) if self.unit == "ms" else value

    def _instant(self, text: str) -> Any:  # noqa: ANN401 - of the setting's type
        try:
            return parse_instant(text) if text.strip() else None
        except ValueError as error:
            raise SettingError(self, str(error)) from None

    def to_stored(self, value: Any) -> str | int | float:  # noqa: ANN401 - of the setting's type
        """Convert a value of the field to what a store keeps."""
        if value is None:
            return ""
        # Equal numbers are equal texts: 2000.0 is stored as 2000.
        if isinstance(value, float) and value.is_integer():
            return int(value)
        return value if isinstance(value, int | float) else str(value)

    def from_stored(self, text: str) -> Any:  # noqa: ANN401 - of the setting's type
        """Convert what a store keeps to a value of the field."""
        if self.is_text:
            return self.repaired(text)
        return stored_instant(text) if self.is_time else self.kind(text)

    def normal(self, value: str) -> str:
        """Return a text in its normal form.

        Raises:
            SettingError: It contains control characters or a lone surrogate.
        """
        lines = re.split("\r\n|\r|\n", value) if self.multiline else [value]
        try:
            return "\n".join(map(normal_text, lines))
        except TextInvalid as error:
            raise SettingError(self, str(error)) from None

    def repaired(self, value: str) -> str:
        """Return a stored text in its normal form; earlier versions allowed control characters."""
        try:
            return self.normal(value)
        except SettingError:
            return self.normal(REFUSED.sub(" ", value))

    def check(self, value: Any) -> None:  # noqa: ANN401 - of the setting's type
        """Check a value of the field.

        Raises:
            SettingError: The value is not allowed.
        """
        if self.is_text:
            self._check_text(value)
        elif self.most is not None:
            self._check_range(value, self.least, self.most)

    def _check_range(self, value: float, least: float, most: float) -> None:
        if not least <= value <= most:
            raise SettingError(self, f"must be from {number(least)} to {number(most)}")

    def _check_text(self, value: str) -> None:
        assert self.most is not None
        self.normal(value)
        size = len(value.encode()) if self.unit == "bytes" else len(value)
        blank = self.least and is_blank(value)
        if blank or not self.least <= size <= self.most:
            raise SettingError(self, f"must have {self._size}")
        if value and self.begins_with and not value.startswith(self.begins_with):
            raise SettingError(self, f"must begin with {' or '.join(self.begins_with)}")


def declared(owner: type) -> tuple[Setting, ...]:
    """Return the settings that a dataclass and its nested dataclasses declare, in order."""
    hints = get_type_hints(owner, include_extras=True)
    found: list[Setting] = []
    for item in fields(owner):
        kind = hints[item.name]
        if is_dataclass(kind):
            found += declared(kind)  # type: ignore[arg-type]  # a class, as all hints are
        elif get_origin(kind) is Annotated:
            kind, *notes = get_args(kind)
            found += [
                replace(
                    note,
                    name=item.name,
                    kind=kind,
                    default=None if item.default is MISSING else item.default,
                    option=note.option or f"--{kebab(note.wire)}",
                )
                for note in notes
                if isinstance(note, Setting)
            ]
    return tuple(found)


def check(owner: object, settings: Iterable[Setting]) -> None:
    """Check the fields of a dataclass that are settings.

    Raises:
        SettingError: A value is not allowed.
    """
    for setting in settings:
        setting.check(getattr(owner, setting.name))


def kebab(name: str) -> str:
    """Convert camel or snake case to kebab case, as in options: `active-max`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


def camel(name: str) -> str:
    """Convert snake case to camel case, as in JSON members: `activeMax`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def number(value: float) -> str:
    """Format a number for display: `1,000,000`, `0.01`."""
    return f"{value:,.10g}"
