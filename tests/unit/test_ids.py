"""The grammar of names: one normal form, and what is refused."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waitline.http.problems import InputInvalid
from waitline.http.requests import decode_header
from waitline.kernel.ids import (
    NAME_BYTES_MAX,
    RoomId,
    TextFault,
    TextInvalid,
    is_blank,
    is_reachable,
    normal_name,
    normal_text,
)
from waitline.kernel.setting import Setting, SettingError

NAMES = [
    pytest.param("tour", id="ascii"),
    pytest.param("[/bold]", id="markup"),
    pytest.param("=1+1", id="formula"),
    pytest.param("100%", id="percent"),
    pytest.param("../../etc", id="path"),
    pytest.param("👩\u200d💻", id="emoji-joiner"),
    pytest.param("❤\ufe0f", id="variation-selector"),
    pytest.param("봄\u3000콘서트", id="ideographic-space"),
    pytest.param("a\u00a0b", id="no-break-space"),
    pytest.param("\u202egnp.exe", id="right-to-left-override"),
    pytest.param("a\u2028b", id="line-separator"),
    pytest.param("\ufeffa", id="byte-order-mark"),
    pytest.param("\uffff", id="noncharacter"),
    pytest.param(" a ", id="spaces-around"),
    pytest.param("a" * 128, id="128-bytes"),
    pytest.param("가" * 42 + "aa", id="128-bytes-of-hangul"),
]

REFUSED = [
    pytest.param("", TextFault.BLANK, id="empty"),
    pytest.param("   ", TextFault.BLANK, id="spaces"),
    pytest.param("\u3000", TextFault.BLANK, id="ideographic-space"),
    pytest.param("\u200b", TextFault.BLANK, id="zero-width-space"),
    pytest.param("\u200d\ufe0f\u2060\ufeff", TextFault.BLANK, id="zero-width"),
    pytest.param("\u3164", TextFault.BLANK, id="hangul-filler"),
    pytest.param("\u115f\u1160\uffa0", TextFault.BLANK, id="jamo-fillers"),
    pytest.param("\u2800", TextFault.BLANK, id="blank-braille"),
    pytest.param("\u202e\u2066", TextFault.BLANK, id="directional-marks"),
    pytest.param("\U000e0041", TextFault.BLANK, id="tag"),
    pytest.param(" \u200b\u00a0", TextFault.BLANK, id="spaces-and-zero-width"),
    pytest.param("\u200b" * 40, TextFault.BLANK, id="long-zero-width"),
    pytest.param("a" * 129, TextFault.TOO_LONG, id="129-bytes"),
    pytest.param("가" * 43, TextFault.TOO_LONG, id="129-bytes-of-hangul"),
    pytest.param("e\u0301" * 65, TextFault.TOO_LONG, id="130-bytes-once-composed"),
    pytest.param("\ufb2c" * 22, TextFault.TOO_LONG, id="longer-once-normal"),
    pytest.param("é" * 100_000, TextFault.TOO_LONG, id="very-long"),
    pytest.param("a\x00b", TextFault.CONTROLS, id="nul"),
    pytest.param("a\nb", TextFault.CONTROLS, id="line-feed"),
    pytest.param("a\tb", TextFault.CONTROLS, id="tab"),
    pytest.param("\x1b[2J", TextFault.CONTROLS, id="escape-sequence"),
    pytest.param("a\x7f", TextFault.CONTROLS, id="delete"),
    pytest.param("가\x85", TextFault.CONTROLS, id="c1"),
    pytest.param("가\x9b", TextFault.CONTROLS, id="csi"),
    pytest.param("\ud800", TextFault.NOT_UNICODE, id="half-a-character"),
    pytest.param("a\udc80", TextFault.NOT_UNICODE, id="undecodable-argument"),
]


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert normal_name(name) == name


@pytest.mark.parametrize(("name", "fault"), REFUSED)
def test_no_names(name: str, fault: TextFault) -> None:
    with pytest.raises(TextInvalid) as caught:
        normal_name(name)
    assert caught.value.fault is fault


def test_two_spellings_are_one_name() -> None:
    assert normal_name("Cafe\u0301") == normal_name("Café") == "Café"
    assert normal_name("\u1112\u1161\u11ab") == "한"
    # 43 syllables of 387 bytes as they are typed on some systems, 126 once composed.
    assert len(normal_name("\u1112\u1161\u11ab" * 42).encode()) == 126


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_normal_form_is_stable_and_within_the_limits(text: str) -> None:
    normal = unicodedata.normalize("NFC", text)
    controls = any(unicodedata.category(char) == "Cc" for char in text)
    if controls or is_blank(text) or len(normal.encode()) > NAME_BYTES_MAX:
        with pytest.raises(TextInvalid):
            normal_name(text)
        return
    name = normal_name(text)
    assert name == normal_name(name) == normal
    assert 1 <= len(name.encode()) <= NAME_BYTES_MAX
    assert all(unicodedata.category(char) not in ("Cc", "Cs") for char in name)


DEFAULT_IGNORABLE = (
    *(0x00AD, 0x034F, 0x061C, 0x3164, 0xFEFF, 0xFFA0),
    *range(0x115F, 0x1161),
    *range(0x17B4, 0x17B6),
    *range(0x180B, 0x1810),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0xFFF0, 0xFFF9),
    *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
)
"""Default_Ignorable_Code_Point of Unicode 16, DerivedCoreProperties.txt."""


def test_what_nobody_sees_is_blank() -> None:
    blank = {code for code in range(sys.maxunicode + 1) if is_blank(chr(code))}
    seen_as_nothing = {0x2800, 0xFFF9, 0xFFFA, 0xFFFB}
    white = {code for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert blank == {*DEFAULT_IGNORABLE, *seen_as_nothing, *white}
    # Every format character but those that print something of their own.
    formats = {
        code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Cf"
    }
    printed = {unicodedata.name(chr(code)).split()[0] for code in formats - blank}
    assert printed == {"ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN"}


REACHABLE = [
    *("a/b", "...", ".a", "a.", ".well-known", "%2e", "now-serving", "a/reset", "..a/b", "?#"),
    *("/", "/a", "a/", "a//b", "\\", "..\\a"),
]


@pytest.mark.parametrize("name", REACHABLE)
def test_reachable(name: str) -> None:
    assert is_reachable(RoomId(name))


UNREACHABLE = [
    *(".", "..", "a/.", "../a", "a/../b", "./a"),
    *("a/addresses", "a/changes", "a/now-serving"),
]


@pytest.mark.parametrize("name", UNREACHABLE)
def test_unreachable(name: str) -> None:
    assert not is_reachable(RoomId(name))


def test_a_text_may_be_empty() -> None:
    assert normal_text("") == ""


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (b"alice", "alice"),
        (b" alice\t", "alice"),
        (b"%ED%95%9C", "한"),
        ("한".encode(), "한"),
        (b"100%", "100%"),
        (b"%zz", "%zz"),
        (b"a+b", "a+b"),
        (b"%20a", " a"),
        (b"%25", "%"),
    ],
)
def test_texts_of_headers(given: bytes, text: str) -> None:
    assert decode_header("X-User-Id", given) == text


@pytest.mark.parametrize("given", [b"\xff", b"%FF", b"%ED%A0%80"])
def test_no_texts_of_headers(given: bytes) -> None:
    with pytest.raises(InputInvalid):
        decode_header("X-User-Id", given)


def _setting(*, multiline: bool) -> Setting:
    return Setting(wire="w", help="", unit="characters", most=10, multiline=multiline)


def test_texts_of_settings_have_the_same_normal_form() -> None:
    line, lines = _setting(multiline=False), _setting(multiline=True)
    assert line.from_wire("e\u0301") == "é"
    assert lines.from_wire("a\r\nb\n") == "a\nb\n"
    for refused in ("a\x00", "a\tb", "a\x85b", "\ud800"):
        with pytest.raises(SettingError):
            lines.from_wire(refused)
    with pytest.raises(SettingError):
        line.from_wire("a\nb")
    assert line.repaired("a\n\x1bb") == "a  b"
