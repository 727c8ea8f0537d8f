"""Setting: the one declaration of a value that operators choose. Pure.

A field of a frozen dataclass declares it: `active_max: Annotated[int, Setting(…)] = 50_000`. Name,
type and default are the field's. The check of its range, the API's bodies and answers, the
command-line option, the environment variable, OpenAPI and the tables of docs/operations.md are
derived from the declaration.
"""

import re
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

MS_PER_S = 1_000
"""Times are ms inside, and s on the wire and on the command line."""


class SettingError(ValueError):
    """A setting was given a value that it cannot have.

    Attributes:
        setting: Which; each edge has its own name for it.
        reason: What is allowed, in the unit that the value was given in.
    """

    def __init__(self, setting: "Setting", reason: str) -> None:
        super().__init__(f"{setting.name}: {reason}")
        self.setting = setting
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one setting is called, bounded and explained everywhere.

    Attributes:
        wire: The JSON member.
        help: What it means: one sentence without a full stop.
        unit: What a number counts. `ms` becomes s on the wire and on the command line.
        least: Smallest number allowed, in the field's own unit.
        most: Largest number allowed.
        chars_min: Fewest characters of a text; with 1, it must not be blank either.
        chars_max: Most characters of a text.
        begins_with: How a text that is not empty begins: with one of these.
        option: The command-line option; the wire name in kebab case if left out.
        name: The field's name; `declared` fills in this and what follows.
        kind: The field's type.
        default: The field's default; `None` where there is none.
    """

    wire: str
    help: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    chars_min: int = 0
    chars_max: int | None = None
    begins_with: tuple[str, ...] = ()
    option: str = ""
    name: str = ""
    kind: Any = None
    default: Any = None

    @property
    def wire_unit(self) -> str:
        """The unit on the wire and on the command line."""
        return "s" if self.unit == "ms" else self.unit

    @property
    def wire_kind(self) -> Any:  # noqa: ANN401 - a type, or a union of types
        """The type on the wire and on the command line."""
        return float if self.unit == "ms" else self.kind

    @property
    def allowed(self) -> str:
        """What it may be on the wire and on the command line, for people."""
        if self.wire_range is not None:
            least, most = map(number, self.wire_range)
            return f"{least} to {most} {self.wire_unit}"
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return ", ".join(self.kind)
        return "text" if self.chars_max is None else f"at most {self.chars_max:,} characters"

    @property
    def wire_range(self) -> tuple[float, float] | None:
        """The smallest and the largest number allowed, on the wire; `None` if it is no number."""
        if self.least is None or self.most is None:
            return None
        return self.to_wire(self.least), self.to_wire(self.most)

    def to_wire(self, value: Any) -> Any:  # noqa: ANN401 - of the setting's type
        """Return a value of the field as it is sent."""
        return value / MS_PER_S if self.unit == "ms" else value

    def from_wire(self, value: Any) -> Any:  # noqa: ANN401 - of the setting's type
        """Return a value of the field from what was sent, or typed as an option.

        Raises:
            SettingError: It is out of range.
        """
        if self.wire_range is not None:
            self._check_range(value, *self.wire_range)
        return round(value * MS_PER_S) if self.unit == "ms" else value

    def check(self, value: Any) -> None:  # noqa: ANN401 - of the setting's type
        """Check a value of the field.

        Raises:
            SettingError: It is out of range, too long, or begins with the wrong characters.
        """
        if self.least is not None and self.most is not None:
            self._check_range(value, self.least, self.most)
        if self.chars_max is not None:
            self._check_text(value, self.chars_max)

    def _check_range(self, value: float, least: float, most: float) -> None:
        if not least <= value <= most:
            raise SettingError(self, f"must be from {number(least)} to {number(most)}")

    def _check_text(self, value: str, chars_max: int) -> None:
        if len(value) > chars_max or len(value.strip()) < self.chars_min:
            fewest = f"{self.chars_min} to" if self.chars_min else "at most"
            raise SettingError(self, f"must have {fewest} {chars_max} characters")
        if value and self.begins_with and not value.startswith(self.begins_with):
            raise SettingError(self, f"must begin with {' or '.join(self.begins_with)}")


def declared(owner: type) -> tuple[Setting, ...]:
    """Return the settings that a dataclass declares, in order; those of nested ones in place."""
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


def kebab(name: str) -> str:
    """Write a name in camel or snake case as options are written: `active-max`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).replace("_", "-").lower()


def number(value: float) -> str:
    """Write a number for people: `1,000,000`, `0.01`."""
    return f"{value:,.10g}"
