"""Limits and rules of a room: invalid values, and changes."""

import dataclasses

import pytest

from waitline.kernel.setting import Setting, SettingError
from waitline.queue.limits import LIMIT_NAMES, LIMIT_SETTINGS, Limits
from waitline.queue.settings import MESSAGE_CHARS_MAX, URL_CHARS_MAX, Mode, Rules

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
        *(
            pytest.param(name, f"https://{rest}", id=f"{name} {rest}")
            for name in ("shop_url", "identity_keys_url")
            for rest in (
                "shop example/a",
                "shop.example/a b",
                "shop.example/a\u3000b",
                "shop.example:0/",
                "shop.example:65536/",
                "shop.example:https/",
                "shop.example:/",
                "",
                "/path",
                "?a=b",
                "::1/",
                "[::g]/",
                "-shop.example",
                "shop.example ",
            )
        ),
    ],
)
def test_a_rule_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingError) as refused:
        Rules().changed({name: value})
    assert refused.value.setting.name == name


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example",
        "http://shop.example:8443/a?b=c&d=%20#e",
        "https://[::1]:8443/",
        "https://상점.example/공연",
        "http://127.0.0.1:3000",
        "",
    ],
)
def test_an_address_of_a_shop(address: str) -> None:
    assert Rules().changed({"shop_url": address}).shop_url == address


def test_a_stored_address_that_would_be_refused_now() -> None:
    stored = Rules().restored({"shop_url": "https://shop example:0/a b"})
    assert stored.changed({"mode": Mode.PAUSED}).shop_url == "https://shop example:0/a b"
    with pytest.raises(SettingError, match="white space"):
        stored.changed({"shop_url": stored.shop_url})


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
