"""Bodies and views of operators' calls, generated from declared settings."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from waitline.http.problems import InputInvalid
from waitline.http.texts import Text
from waitline.kernel.instants import EXAMPLE
from waitline.kernel.setting import Setting, SettingError


def change_members(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the members of a body that changes settings; each is optional and may be null."""
    return {
        setting.wire: (_kind(setting) | None, _described(setting, default=None))
        for setting in settings
    }


def creation_members(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the members of a body that creates something with settings."""
    return {
        setting.wire: (
            _kind(setting) | None if setting.is_time else _kind(setting),
            _described(setting, default=... if _is_required(setting) else setting.default),
        )
        for setting in settings
    }


def view_members(settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the members of an answer that shows settings."""
    return {
        setting.wire: (
            setting.wire_kind | None if setting.is_time else setting.wire_kind,
            Field(description=setting.help),
        )
        for setting in settings
    }


def chosen(body: BaseModel, settings: Iterable[Setting]) -> dict[str, Any]:
    """Return the settings that a body gives, by name.

    Raises:
        SettingError: A value is out of range.
    """
    given = body.model_dump(exclude_none=True)
    return {
        setting.name: setting.from_wire(given[setting.wire])
        for setting in settings
        if setting.wire in given
    }


def shown(values: Mapping[str, Any], settings: Iterable[Setting]) -> dict[str, Any]:
    """Return settings by wire name, from their values by name."""
    return {setting.wire: setting.to_wire(values[setting.name]) for setting in settings}


@contextmanager
def refused_by_wire_name() -> Iterator[None]:
    """Refuse an invalid setting by the name of its JSON member.

    Raises:
        InputInvalid: Instead of `SettingError`.
    """
    try:
        yield
    except SettingError as error:
        raise InputInvalid(error.setting.wire, Text(error.reason, error.reason)) from None


def _is_required(setting: Setting) -> bool:
    return setting.default is None and not setting.is_time


def _kind(setting: Setting) -> Any:  # noqa: ANN401 - a type with its checks
    if setting.wire_range is not None:
        # Strict: neither `true` nor a text is a number.
        return Annotated[setting.wire_kind, Field(strict=True)]
    if setting.is_text or setting.is_time:
        return Annotated[str, AfterValidator(_is_text)]
    return setting.wire_kind


def _described(setting: Setting, *, default: Any) -> Any:  # noqa: ANN401 - pydantic's
    """Describe a member; its range is checked by the setting."""
    limits: dict[str, Any] = {}
    if setting.wire_range is not None:
        limits = dict(zip(("minimum", "maximum"), setting.wire_range, strict=True))
    elif setting.is_text:
        limits = {"minLength": setting.least, "maxLength": setting.most}
    elif setting.is_time:
        limits = {"examples": [EXAMPLE]}
    return Field(default, description=setting.help, json_schema_extra=limits)


def _is_text(value: str) -> str:
    """Refuse a lone surrogate, which cannot be encoded as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "must be text in UTF-8") from None
    return value
