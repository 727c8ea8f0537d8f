"""Texts in Korean and English, and the choice between them by Accept-Language."""

from functools import lru_cache
from typing import Literal, NamedTuple

Language = Literal["ko", "en"]


class Text(NamedTuple):
    """One sentence in every language."""

    ko: str
    en: str

    def to(self, language: Language) -> str:
        """Return the sentence in a language."""
        return self.ko if language == "ko" else self.en


HEALTH = Text("서비스 상태입니다.", "Service status.")
INFO = Text("서비스 정보입니다.", "About this service.")


@lru_cache(maxsize=256)
def preferred_language(accept: bytes | None, default: Language = "ko") -> Language:
    """Choose a language by the request's Accept-Language header.

    Args:
        accept: The header.
        default: For a client that accepts neither language. Korean in the contract's answers; pages
            have a setting.

    Source: RFC 9110, section 12.5.4.
    """
    if not accept:
        return default
    best: tuple[float, Language] = (0.0, default)
    for part in accept.decode("latin-1").lower().split(","):
        tag, _, weight = part.strip().partition(";")
        primary = tag.strip().partition("-")[0]
        quality = _quality(weight)
        if primary == "ko" and quality > best[0]:
            best = (quality, "ko")
        elif primary == "en" and quality > best[0]:
            best = (quality, "en")
    return best[1]


def _quality(weight: str) -> float:
    name, _, value = weight.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
