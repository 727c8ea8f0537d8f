"""Speculative requests of browsers (prefetch, prerender), for pages that may never be shown.

Source: the HTML standard, section 7.4.5 (`Sec-Purpose`); older browsers send the other fields.
"""

from collections.abc import Collection, Mapping

from waitline.http.problems import Speculative

_FIELDS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_WORDS = ("prefetch", "prerender", "preview")
_RAW_FIELDS = tuple(name.encode("ascii") for name in _FIELDS)
_RAW_WORDS = tuple(word.encode("ascii") for word in _WORDS)


def require_wanted(headers: Mapping[str, str]) -> None:
    """Check that a visitor made the request.

    Raises:
        Speculative: A browser made it speculatively.
    """
    for name in _FIELDS:
        value = headers.get(name, "")
        if any(word in value for word in _WORDS):
            raise Speculative


def is_speculative(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser made a request speculatively."""
    for name in _RAW_FIELDS:
        value = headers.get(name)
        if value is not None and any(word in value for word in _RAW_WORDS):
            return True
    return False


def require_call_wanted(names: Collection[bytes]) -> None:
    """Check that a call comes from a page that is shown; `names` are its header fields.

    Only browsers that send `Sec-Purpose` run scripts of pages not yet shown, so no other field is
    read.

    Raises:
        Speculative: A browser loads the page speculatively.
    """
    if b"sec-purpose" in names:
        raise Speculative
