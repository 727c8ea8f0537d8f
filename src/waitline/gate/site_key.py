"""The site key in a call: proves that a protected site makes it. Pure."""

from hmac import compare_digest
from typing import Final

from waitline.kernel.errors import Refused

SITE_KEY_HEADER: Final = b"x-site-key"


class SiteKeyRefused(Refused):
    """A call that only protected sites may make has no site key, or another one."""


def is_site_key(key: bytes, given: bytes) -> bool:
    """Return whether a call has the site key; without a key of our own, no call has."""
    return bool(key) and compare_digest(given, key)
