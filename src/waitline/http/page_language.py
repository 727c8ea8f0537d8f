"""Language of a page: the visitor's choice by a link, else the browser's, else the setting.

The contract's answers follow Accept-Language alone (`texts.preferred_language`).
"""

from typing import Final

from starlette.requests import Request

from waitline.http.texts import Language, preferred_language

LANGUAGES: Final[tuple[Language, ...]] = ("en", "ko")

PARAMETER: Final = "lang"
"""Query parameter of the language switch."""

COOKIE: Final = "waitlang"
"""Cookie that keeps a choice made by the switch. Scripts of pages read it: it is not HttpOnly."""

KEPT_S: Final = 31_536_000
"""How long, in s, a browser keeps the choice: a year."""


def page_language(request: Request, default: Language) -> Language:
    """Return the language for a page.

    Args:
        request: The request for the page.
        default: For a browser that asks for none of `LANGUAGES`.
    """
    for choice in (chosen_language(request), request.cookies.get(COOKIE)):
        if choice in LANGUAGES:
            return choice
    return preferred_language(request.headers.get("accept-language", "").encode("latin-1"), default)


def chosen_language(request: Request) -> Language | None:
    """Return the language that the request's address chooses, or `None`."""
    choice = request.query_params.get(PARAMETER)
    return choice if choice in LANGUAGES else None


def language_cookie(language: Language) -> str:
    """Return the value of the Set-Cookie field that keeps a choice."""
    return f"{COOKIE}={language}; Path=/; Max-Age={KEPT_S}; SameSite=Lax"
