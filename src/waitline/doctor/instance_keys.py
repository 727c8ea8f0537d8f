"""Check that an instance has this machine's operator key and site key, which are never sent."""

import secrets
from http import HTTPStatus

import aiohttp

from waitline.doctor.checks import Diagnosis, fault, ok, skipped
from waitline.doctor.machine import SharedKeys
from waitline.doctor.web import fetch
from waitline.http.key_proof import NONCE_BYTES, prove
from waitline.services.key_comparison import (
    NONCE_HEADER,
    OPERATOR_KEY,
    PROOF_HEADERS,
    SITE_KEY,
)
from waitline.settings import PREFIX


async def same_keys(
    session: aiohttp.ClientSession, url: str, service: str, keys: SharedKeys
) -> list[Diagnosis]:
    """Return whether a service has our keys: the operator key, and the site key if it queues.

    Args:
        session: Sends the request.
        url: The service.
        service: `queue` or `booking`.
        keys: This machine's keys.
    """
    needed = [("operator key", OPERATOR_KEY, "OPERATOR_KEY", keys.operator)]
    if service == "queue":
        needed.append(("site key", SITE_KEY, "SITE_KEY", keys.site))
    nonce = secrets.token_hex(NONCE_BYTES)
    headers = {
        PROOF_HEADERS[name]: prove(key, name, nonce)
        for _, name, _, key in needed
        if key is not None
    }
    answer = await fetch(session, f"{url}/api/v1/keys", {NONCE_HEADER: nonce, **headers})
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    found = []
    for title, name, variable, key in needed:
        subject = f"{url}: {title}"
        alike = data.get(name) if isinstance(data, dict) else None
        if key is None:
            found.append(skipped(subject, f"this machine has none: set {PREFIX}{variable}"))
        elif answer.status != HTTPStatus.OK or alike is None:
            found.append(
                skipped(
                    subject,
                    f"answers {answer.failure or answer.status} to /api/v1/keys: an older version, "
                    "or a proxy in front; give the instance's own address",
                )
            )
        elif alike:
            found.append(ok(subject, "is that of this machine"))
        else:
            found.append(
                fault(
                    subject,
                    f"is another one than this machine's: set {PREFIX}{variable} alike on every "
                    "instance, or copy its file from the data folder",
                )
            )
    return found
