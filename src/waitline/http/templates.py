"""Pages from Jinja templates: rendered in each language, with the headers that pages have.

A template writes each sentence in both languages, side by side: `t("한국어", "English")`.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from waitline.http.page_language import (
    LANGUAGES,
    PARAMETER,
    chosen_language,
    language_cookie,
    page_language,
)
from waitline.http.static_files import StaticFile, prepare, respond
from waitline.http.texts import Language, Text

_FRESHNESS = {
    # A page depends on cookies, so only the browser may cache it, and must revalidate before use.
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Accept-Encoding, Accept-Language, Cookie",
}

_SWITCH = {language: f"?{PARAMETER}={language}" for language in LANGUAGES}
"""Address of the page in each language. It drops all other parameters, which may be secret."""


class Templates:
    """The templates of some folders.

    Args:
        folders: Where they are; the first folder that has a file wins.
        default: Language for browsers that ask for none of ours.
    """

    def __init__(self, folders: Iterable[Path], default: Language) -> None:
        self.default = default
        self._environment = Environment(
            loader=FileSystemLoader(list(folders)),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, language: Language, **values: Any) -> StaticFile:  # noqa: ANN401 - as templates take them
        """Render a template in a language."""
        template = self._environment.get_template(name)
        text = template.render(
            language=language, switch=_SWITCH, t=partial(_translated, language), **values
        )
        page = prepare("page.html", text.encode())
        return page._replace(headers={**page.headers, **_FRESHNESS, "Content-Language": language})

    def answer(
        self,
        request: Request,
        name: str,
        *,
        status: int = 200,
        **values: Any,  # noqa: ANN401 - as templates take them
    ) -> Response:
        """Answer a request with a page in its language."""
        language = page_language(request, self.default)
        return page_response(request, self.render(name, language, **values), status)


def page_response(request: Request, page: StaticFile, status: int = 200) -> Response:
    """Return the response with a page, and keep the language if the address chooses it."""
    made = respond(page, request) if status == 200 else Response(page.body, status, page.headers)  # noqa: PLR2004 - OK
    if status != 200:  # noqa: PLR2004 - OK
        made.headers["Cache-Control"] = "no-store"
    chosen = chosen_language(request)
    if chosen is not None:
        made.headers.append("Set-Cookie", language_cookie(chosen))
    return made


def _translated(language: Language, ko: str, en: str) -> str:
    return Text(ko, en).to(language)
