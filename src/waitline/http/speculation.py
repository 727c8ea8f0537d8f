"""Requests that browsers make in advance (prefetch, prerender), for pages that nobody may ever see.

Source: the HTML standard, section 7.4.5 (`Sec-Purpose`); older browsers send the other fields.
"""

from collections.abc import Collection, Mapping

from waitline.http.problems import Speculative

_FIELDS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_WORDS = ("prefetch", "prerender", "preview")


def require_wanted(headers: Mapping[str, str]) -> None:
    """Check that a visitor has asked.

    Raises:
        Speculative: A browser asks in advance.
    """
    for name in _FIELDS:
        value = headers.get(name, "")
        if any(word in value for word in _WORDS):
            raise Speculative


def require_call_wanted(names: Collection[bytes]) -> None:
    """Check that a call comes from a page that somebody sees; `names` are its header fields.

    Only browsers that send `Sec-Purpose` run scripts in advance, so no other field is looked at.

    Raises:
        Speculative: A browser loads the page in advance.
    """
    if b"sec-purpose" in names:
        raise Speculative
