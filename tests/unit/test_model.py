"""Limits and rules of a room: invalid values, and changes."""

import dataclasses

import pytest

from waitline.kernel.setting import Setting, SettingError
from waitline.queue.settings import (
    LIMIT_NAMES,
    LIMIT_SETTINGS,
    MESSAGE_CHARS_MAX,
    URL_CHARS_MAX,
    Limits,
    Mode,
    Rules,
)

SHOP = "https://shop.example/"


def test_every_limit_has_a_range_that_holds_its_default() -> None:
    assert tuple(dataclasses.asdict(Limits())) == LIMIT_NAMES
    for setting in LIMIT_SETTINGS:
        assert setting.default == getattr(Limits(), setting.name)
        assert setting.most is not None
        assert setting.least <= setting.default <= setting.most


@pytest.mark.parametrize("setting", LIMIT_SETTINGS, ids=LIMIT_NAMES)
@pytest.mark.parametrize("end", [pytest.param(0, id="least"), pytest.param(1, id="most")])
def test_a_limit_is_refused_just_outside_its_range(setting: Setting, end: int) -> None:
    name, bound = setting.name, (setting.least, setting.most)[end]
    assert bound is not None
    assert getattr(Rules().changed({name: bound}).limits, name) == bound
    outside = bound + (1 if end else -0.01)
    with pytest.raises(SettingError) as refused:
        Rules().changed({name: outside})
    assert refused.value.setting.name == name
    assert refused.value.reason.startswith("must be from ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("message", "x" * (MESSAGE_CHARS_MAX + 1), id="message too long"),
        pytest.param("shop_url", "javascript:alert(1)", id="a script is no address"),
        pytest.param("shop_url", "//shop.example", id="no scheme"),
        pytest.param("shop_url", SHOP + "x" * URL_CHARS_MAX, id="address too long"),
    ],
)
def test_a_rule_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        Rules().changed({name: value})
    assert refused.value.setting.name == name


def test_a_change_keeps_everything_else() -> None:
    given = {"message": "soon", "shop_url": SHOP, "active_max": 7, "extensions_max": 1}
    rules = Rules().changed({"mode": Mode.PAUSED, **given})
    changed = rules.changed({"mode": Mode.OPEN, "active_max": 8})
    assert changed == Rules().changed({**given, "active_max": 8})
    assert rules.mode is Mode.PAUSED
    assert changed.changed({}) == changed


def test_an_unknown_name_is_a_bug_not_a_limit() -> None:
    with pytest.raises(TypeError):
        Rules().changed({"active_maximum": 8})
