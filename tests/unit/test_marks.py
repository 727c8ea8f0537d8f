"""Marks of visitor keys: what this version and the one before store, which upgrades must keep."""

from waitline.kernel.ids import RoomId, VisitorId
from waitline.tokens.marks import earlier_mark, key_mark

WHO = (RoomId("tour"), VisitorId("u"), b"k" * 16)


def test_marks_are_what_versions_store() -> None:
    assert earlier_mark(*WHO) == "lMYL9oVuHHc"
    assert key_mark(*WHO) == "\x14F\x0bv\x05n\x1cw"
