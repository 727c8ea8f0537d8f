"""HTTP caching: entity tags and content codings."""

from functools import lru_cache

CODINGS = ("br", "gzip")
"""Content codings of our documents, the smallest first."""


def etag_matches(tags: bytes, etag: bytes) -> bool:
    """Return whether an If-None-Match header matches an entity tag, by weak comparison.

    Source: RFC 9110, section 13.1.2.
    """
    opaque = etag.removeprefix(b"W/")
    return any(tag.strip().removeprefix(b"W/") in (opaque, b"*") for tag in tags.split(b","))


@lru_cache(maxsize=256)
def accepted_codings(header: str) -> tuple[str, ...]:
    """Return those of our codings that an Accept-Encoding header allows, the smallest first.

    Source: RFC 9110, section 12.5.3.
    """
    allowed: dict[str, bool] = {}
    for coding in header.lower().replace(" ", "").split(","):
        name, _, weight = coding.partition(";q=")
        allowed[name] = weight.strip("0.") != "" or not weight
    rest = allowed.get("*", False)
    return tuple(name for name in CODINGS if allowed.get(name, rest))
