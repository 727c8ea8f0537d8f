"""The tables of settings in the docs are those of the declarations."""

from pathlib import Path

from waitline import settings
from waitline.cli.setting_tables import TABLES, rewritten
from waitline.queue.settings import ROOM_SETTINGS

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_docs_have_the_tables_as_they_are_now() -> None:
    text = OPERATIONS.read_text("utf-8")
    assert rewritten(text) == text, "run `make docs`"
    assert all(f"<!-- settings: {name} -->" in text for name in TABLES)


def test_every_setting_is_in_a_table() -> None:
    text = OPERATIONS.read_text("utf-8")
    assert all(f"`{variable}`" in text for variable in settings.VARIABLES)
    assert all(f"`{setting.wire}`" in text for setting in ROOM_SETTINGS)


def test_an_old_table_is_replaced_and_the_rest_stays() -> None:
    old = "a\n<!-- settings: room -->\n\nold\n\n<!-- end -->\nz\n"
    new = rewritten(old)
    assert new == f"a\n<!-- settings: room -->\n\n{TABLES['room']()}\n\n<!-- end -->\nz\n"
    assert rewritten(new) == new
