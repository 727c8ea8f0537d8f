"""Door credentials: the code of each ticket, and the signature of a door list. Pure.

A code is short enough to be read out. Door staff compare it with their list, without a network. The
list is signed with the installation's Ed25519 key: `verify_file` needs no store.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from waitline.tokens.encoding import base64url, from_base64url
from waitline.tokens.keyring import Keyring

LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
"""Letters of a code. Without vowels it spells no word; without digits, 0 and O are not confused,
and no spreadsheet takes it for a number or a date."""

CODE_LETTERS: Final = 8
"""Letters of a code: 26 billion codes a seat, and each guess is an attempt at the door. Longer
codes would be misread more often."""

_PERSON: Final = b"wl-door-code"

_SIGNED: Final = b"waitline-door-list\n"
"""Domain separation: prefix of the signed bytes, so that no signature of a pass is valid for a
list. A JWT signs base64url text."""

TRAILERS: Final = {"csv": ("signature,", "\r\n"), "html": ("<!-- signature ", " -->\n")}
"""What surrounds the signature line of a file, by its format."""

_MARK: Final = re.compile(
    rb"d1\.([A-Za-z0-9_-]{1,16})\.(\d{1,19})\.(\d{1,15})\.(\d{1,9})\.([\w-]{86})"
)


class ListMark(NamedTuple):
    """The facts in the last line of a list.

    Attributes:
        kid: Name of the key that signed it.
        schedule: Its schedule.
        made_ms: When it was made, in ms since the epoch.
        tickets: How many tickets it has.
    """

    kid: str
    schedule: int
    made_ms: int
    tickets: int


class ListFault(StrEnum):
    """Why a file is not a genuine door list."""

    UNSIGNED = "it is no door list, or its last line is missing"
    KEY_UNKNOWN = "the key that signed it is not known here"
    ALTERED = "it was altered after it was made"


def ticket_code(ring: Keyring, schedule: int, seat: int, reservation: int, reserved_ms: int) -> str:
    """Return the code of a ticket: `KDRT-MWQX`.

    It is deterministic for as long as the key is in the ring.

    Args:
        ring: The keys; the one active at `reserved_ms` makes the code.
        schedule: The schedule.
        seat: The seat.
        reservation: The reservation that holds it.
        reserved_ms: When that was made, in ms since the epoch.

    Source:
        RFC 7693 (keyed BLAKE2b).
    """
    key = ring.signing(reserved_ms)
    fields = f"{schedule},{seat},{reservation}".encode()
    digest = blake2b(fields, key=key.ticket_secret, digest_size=16, person=_PERSON).digest()
    rest, letters = int.from_bytes(digest), ""
    for _ in range(CODE_LETTERS):
        rest, letter = divmod(rest, len(LETTERS))
        letters += LETTERS[letter]
    half = CODE_LETTERS // 2
    return f"{letters[:half]}-{letters[half:]}"


def sign_file(
    ring: Keyring, content: bytes, kind: str, *, schedule: int, made_ms: int, tickets: int
) -> bytes:
    """Return a door list with its last line: its facts, and the signature over all of it.

    Args:
        ring: The keys; the one active at `made_ms` signs.
        content: The list without its last line.
        kind: Its format, of `TRAILERS`.
        schedule: Its schedule.
        made_ms: When it was made, in ms since the epoch.
        tickets: How many tickets it has.
    """
    key = ring.signing(made_ms)
    claim = f"d1.{key.kid}.{schedule}.{made_ms}.{tickets}"
    signature = base64url(key.pass_private.sign(_message(claim, kind, content))).decode()
    before, after = TRAILERS[kind]
    return content + f"{before}{claim}.{signature}{after}".encode()


def verify_file(keys: Mapping[str, Ed25519PublicKey], file: bytes) -> ListMark | ListFault:
    """Return the facts of a door list if its signature is valid, else what is wrong.

    Args:
        keys: Public keys, by name.
        file: The file, byte by byte.
    """
    for kind, (before, after) in TRAILERS.items():
        start = file.rfind(before.encode())
        trailer = file[start + len(before) :] if start >= 0 else b""
        found = _MARK.fullmatch(trailer.removesuffix(after.encode()))
        if found is None or not trailer.endswith(after.encode()):
            continue
        kid, claim = found[1].decode(), found[0].rpartition(b".")[0].decode()
        if kid not in keys:
            return ListFault.KEY_UNKNOWN
        try:
            keys[kid].verify(from_base64url(found[5]), _message(claim, kind, file[:start]))
        except (InvalidSignature, ValueError):
            return ListFault.ALTERED
        return ListMark(kid, int(found[2]), int(found[3]), int(found[4]))
    return ListFault.UNSIGNED


def public_keys(ring: Keyring) -> dict[str, Ed25519PublicKey]:
    """Return the public keys of a ring, by name."""
    return {key.kid: key.pass_public for key in ring.keys}


def _message(claim: str, kind: str, content: bytes) -> bytes:
    return _SIGNED + f"{kind} {claim}\n".encode() + content
