"""How a step may be worded, in Korean and in English."""

import re

from pytest_bdd import parsers

# A particle depends on the last letter of the word before it.
PARTICLES = {"가": "[이가]", "는": "[은는]", "를": "[을를]"}

# What a visitor does, by the wordings of it.
VERBS = {
    "enters": "enter",
    "입장한다": "enter",
    "asks for the status": "status",
    "상태를 조회한다": "status",
    "activates": "activate",
    "활성화한다": "activate",
    "extends": "extend",
    "validates": "validate",
    "leaves": "leave",
    "나간다": "leave",
    "토큰을 돌려준다": "discard",
    "subscribes": "subscribe",
    "lists the seats": "seats",
    "좌석을 조회한다": "seats",
    "reserves": "reserve",
    "예약한다": "reserve",
    "looks at the reservation": "reservation",
    "예약을 조회한다": "reservation",
    "cancels the reservation": "cancel",
    "예약을 취소한다": "cancel",
    "pays": "pay",
    "결제한다": "pay",
    "looks at the payment": "payment",
}

WORD = r"\S+?"

# What may stand in a place of these names; one word in all others.
PLACES = {
    "who": r"\w+?",
    "owner": r"\w+?",
    "value": r'".*"|\S+',
    "fields": r"\w+(?:, \w+)*",
    "text": r'[^"]*',
    "seats": r"[\w-]+(?:, [\w-]+)*",
}


def said(text: str) -> parsers.re:
    """Return what reads a wording; `{name}` is a place, and may have a particle after it."""
    # Or "지은이 나간다" would be a visitor called 지은이 in an English sentence.
    verbs = [verb for verb in VERBS if verb.isascii() is text.isascii()]
    places = PLACES | {"verb": "|".join(verbs)}
    pattern = ""
    for literal, name, particle in re.findall(r"([^{]*)(?:\{(\w+)\}([가는를]?))?", text):
        pattern += re.escape(literal)
        if name:
            place = places.get(name, WORD)
            pattern += f"(?P<{name}>{place}){PARTICLES.get(particle, '')}"
    return parsers.re(pattern)
