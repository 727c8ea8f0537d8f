"""Challenge-response proof that two processes have the same secret, without sending it. Pure.

Who asks chooses a nonce and sends its keyed digest. Who is asked only compares: it hands out no
digest that could be searched for a weak secret.
"""

import hashlib
import hmac

NONCE_BYTES = 16
"""Length of a nonce; no two are alike."""


def prove(secret: str, name: str, nonce: str) -> str:
    """Return the proof that we have a secret.

    Args:
        secret: The secret.
        name: Names it, so that a proof of one is none of another.
        nonce: Chosen anew for each question.
    """
    text = f"waitline key {name} {nonce}"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_proof(given: str, secret: str, name: str, nonce: str) -> bool:
    """Return whether somebody has proved to have our secret; the time taken says nothing of it."""
    return hmac.compare_digest(given.encode(), prove(secret, name, nonce).encode())
