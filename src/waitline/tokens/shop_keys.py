"""Public keys of shops, which verify statements: PEM, JWK, and sets of JWKs. Pure.

A key allows one algorithm, which its type determines: Ed25519 EdDSA, P-256 ES256, RSA RS256. A
token's header cannot choose another (algorithm confusion).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

KEYS_MAX: Final = 32
"""Most keys of a set; shops have two or three. A statement is checked against one of them at most,
so more would only cost memory."""

RSA_BITS_LEAST: Final = 2_048
"""Least size of an RSA key. Source: RFC 7518 §3.3."""

RSA_BITS_MOST: Final = 4_096
"""Largest RSA key: verifying takes 130 µs with it, and three times as long with twice as many
bits."""

RSA_EXPONENT_MOST: Final = 65_537
"""Largest public exponent, 65537, which is the usual one. With an exponent as long as the modulus,
a verification would take some ms."""

KEYS_CACHED: Final = 1_024
"""Parsed keys cached: settings are read each second, and parsing takes about 50 µs."""

_READERS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "OKP": OKPAlgorithm.from_jwk,
    "EC": ECAlgorithm.from_jwk,
    "RSA": RSAAlgorithm.from_jwk,
}

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

PRIVATE: Final = (
    "is a private key: replace it in the shop if others may have seen it, and give the public key"
)


@dataclass(frozen=True, slots=True)
class ShopKey:
    """A key that verifies statements.

    Attributes:
        algorithm: The one algorithm that it is used with: EdDSA, ES256 or RS256.
        public: The key.
        kid: Its name, or `None` if it has none.
    """

    algorithm: str
    public: PublicKey
    kid: str | None = None


class RepeatedMember(ValueError):  # noqa: N818 - reads as what it is
    """A JSON object has a duplicate member, which parsers interpret differently."""


def strict_object(text: bytes | str) -> dict[str, Any]:
    """Parse a JSON object in which no member is repeated, at any depth.

    Raises:
        ValueError: It is not such an object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unrepeated, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("is no JSON object")  # noqa: TRY004 - of the text
    return value


@lru_cache(maxsize=KEYS_CACHED)
def parse_key(text: str) -> ShopKey:
    """Parse the public key that an operator gives, as PEM or as JWK.

    Raises:
        ValueError: It is not such a key. The message never contains a part of it.
    """
    if "PRIVATE KEY" in text:
        raise ValueError(PRIVATE)
    if text.lstrip().startswith("{"):
        try:
            jwk = strict_object(text)
        except ValueError:
            raise ValueError("is not a well-formed JWK") from None
        if "keys" in jwk:
            raise ValueError("is a set of keys: give one key, or the address of the set")
        return parse_jwk(jwk)
    if "BEGIN PUBLIC KEY" not in text:
        raise ValueError("must be a public key, as PEM (BEGIN PUBLIC KEY) or as JWK")
    try:
        public = load_pem_public_key(text.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a well-formed PEM") from None
    return _shop_key(public, None)


def parse_jwk(jwk: dict[str, Any]) -> ShopKey:
    """Return the key of a JWK.

    Raises:
        ValueError: The key cannot verify statements. The message never contains a part of it.

    Source:
        RFC 7517 §4, RFC 7518 §6, RFC 8037 §2.
    """
    if _PRIVATE_MEMBERS & jwk.keys():
        raise ValueError(PRIVATE)
    kid = jwk.get("kid")
    if not (kid is None or (isinstance(kid, str) and kid)):
        raise ValueError("has a kid that is not text")
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise ValueError("is not for verifying signatures")
    reader = _READERS.get(str(jwk.get("kty")))
    if reader is None:
        raise ValueError("must be of type OKP, EC or RSA")
    try:
        public = reader(jwk)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
        raise ValueError("is not a well-formed JWK") from None
    key = _shop_key(public, kid)
    if jwk.get("alg", key.algorithm) != key.algorithm:
        raise ValueError(f"must have alg {key.algorithm}, or none")
    return key


def parse_key_set(text: bytes) -> tuple[ShopKey, ...]:
    """Return the usable keys of a JWK set; keys for other purposes are ignored.

    Raises:
        ValueError: It is not a key set, has more than `KEYS_MAX` keys, or none that is usable.

    Source:
        RFC 7517 §5.
    """
    listed = strict_object(text).get("keys")
    if not isinstance(listed, list):
        raise ValueError("has no list of keys")  # noqa: TRY004 - of the text
    if len(listed) > KEYS_MAX:
        raise ValueError(f"has more than {KEYS_MAX} keys")
    found: list[ShopKey] = []
    for jwk in listed:
        try:
            found.append(parse_jwk(jwk if isinstance(jwk, dict) else {}))
        except ValueError:
            continue
    if not found:
        raise ValueError("has no public key of Ed25519, P-256 or RSA")
    return tuple(found)


def _shop_key(public: object, kid: str | None) -> ShopKey:
    match public:
        case Ed25519PublicKey():
            return ShopKey("EdDSA", public, kid)
        case EllipticCurvePublicKey() if isinstance(public.curve, SECP256R1):
            return ShopKey("ES256", public, kid)
        case RSAPublicKey() if (
            RSA_BITS_LEAST <= public.key_size <= RSA_BITS_MOST
            and public.public_numbers().e <= RSA_EXPONENT_MOST
        ):
            return ShopKey("RS256", public, kid)
        case RSAPublicKey():
            raise ValueError(f"must have {RSA_BITS_LEAST} to {RSA_BITS_MOST} bits, exponent 65537")
        case _:
            raise ValueError("must be a key of Ed25519, P-256 or RSA")


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RepeatedMember("repeats a member")
    return members


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(f"has {name}, which is no JSON")
