"""Checks of services at their addresses, as clients, balancers and CDNs reach them.

Each address is asked which service it is. With several addresses of the queue service, such as one
of each instance, their keys are compared.
"""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import quote, urlsplit

import aiohttp

from waitline.doctor.checks import Diagnosis, fault, faults, ok, skipped, warning
from waitline.doctor.instance_keys import same_keys
from waitline.doctor.machine import SharedKeys
from waitline.doctor.web import Fetched, certificate_expiry, fetch, new_session
from waitline.kernel.addresses import is_loopback
from waitline.kernel.clock import Clock
from waitline.kernel.folders import reason_of
from waitline.kernel.plurals import counted
from waitline.settings import PREFIX, Settings
from waitline.tokens.keyring import Keyring
from waitline.tokens.passes import jwks

CERTIFICATE_DAYS_LEAST = 14
"""Remaining validity of a certificate below which it should have been renewed: those that are valid
for 90 days are renewed with 30 days left."""

SHARED_OLD_S = 5.0
"""Age of now-serving above which something keeps it for too long, in s: a second in the service and
one in each cache, and clocks that differ by one."""

FORGED = "203.0.113.77"
"""An address that no client has (RFC 5737), sent as if a proxy had reported it."""

ABSENT = "waitline-doctor"
"""Name of a room that does not exist, for calls that must change nothing."""


class ServiceChecks:
    """Checks of some addresses.

    Args:
        settings: The installation's settings.
        ring: This machine's keys; `None` if it has none.
        keys: This machine's operator key and site key.
        clock: The present time.
    """

    def __init__(
        self, settings: Settings, ring: Keyring | None, keys: SharedKeys, clock: Clock
    ) -> None:
        self._production = settings.mode == "production"
        self._settings = settings
        self._ring = ring
        self._keys_here = keys
        self._clock = clock

    async def examine(self, urls: Sequence[str], room: str | None = None) -> list[Diagnosis]:
        """Return the results for services.

        Args:
            urls: Their addresses, with the path below which a proxy serves them, if any.
            room: A room whose shared answers are checked; `None` if there is none.
        """
        # Beside an address with HTTPS, one without is that of an instance behind it.
        instances = any(url.startswith("https:") for url in urls)
        async with new_session() as session:
            found = await asyncio.gather(
                *(self._service(session, url, room, plain_http=instances) for url in urls)
            )
        return [check for checks in found for check in checks]

    async def pages(self, urls: Mapping[str, str]) -> list[Diagnosis]:
        """Return the results for the pages to which rooms send admitted visitors, by room."""
        async with new_session() as session:
            return list(
                await asyncio.gather(
                    *(self._shop_page(session, room, url) for room, url in urls.items())
                )
            )

    async def _shop_page(self, session: aiohttp.ClientSession, room: str, url: str) -> Diagnosis:
        subject = f"room {room}: shop"
        answer = await fetch(session, url)
        if answer.failure:
            return fault(
                subject,
                f"{url} cannot be reached: {answer.failure}. Start the shop, or correct its "
                f"address: waitline rooms set {shlex.quote(room)} --shop-url URL",
            )
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return fault(
                subject, f"{url} answers {answer.status}: its own log says why; repair the shop"
            )
        if answer.status >= HTTPStatus.BAD_REQUEST:
            return warning(
                subject,
                f"{url} answers {answer.status} to a visitor without a pass: open it in a browser, "
                "and if it is not the shop's page, correct the address: waitline rooms set "
                f"{shlex.quote(room)} --shop-url URL",
            )
        return ok(subject, f"{url} answers {answer.status}")

    async def _service(
        self, session: aiohttp.ClientSession, url: str, room: str | None, *, plain_http: bool
    ) -> list[Diagnosis]:
        url = url.rstrip("/")
        about = await fetch(session, f"{url}/api/v1/info")
        if about.failure:
            return [
                fault(
                    url,
                    f"cannot be reached: {about.failure}. Start the service, or check the address, "
                    "its DNS record and the firewall",
                )
            ]
        data = about.body.get("data") if isinstance(about.body, dict) else None
        if not isinstance(data, dict) or data.get("service") not in ("queue", "booking"):
            return [
                fault(
                    url,
                    f"answers {about.status} to /api/v1/info, as no service of Waitline does: "
                    "check the address and its path",
                )
            ]
        service = data["service"]
        found = [self._mode(url, service, str(data.get("mode")))]
        found += await self._transport(url, plain_http=plain_http)
        found.append(await _readiness(session, url))
        found += await same_keys(session, url, service, self._keys_here)
        if self._production:
            found.append(_metrics(url, await fetch(session, f"{url}/actuator/prometheus")))
        if service == "queue":
            found.append(self._keys(url, await fetch(session, f"{url}/.well-known/jwks.json")))
            found.append(await _personal_answers(session, url))
            if room is not None:
                found.append(await self._shared_answers(session, url, room))
            found.append(await self._client_address(session, url))
        else:
            found.append(await _catalogue(session, url))
        return found

    def _mode(self, url: str, service: str, mode: str) -> Diagnosis:
        if mode == self._settings.mode:
            return ok(url, f"the {service} service in {mode} mode")
        return fault(
            url,
            f"the {service} service in {mode} mode, and the settings here say "
            f"{self._settings.mode}: set {PREFIX}MODE as the services have it",
        )

    async def _transport(self, url: str, *, plain_http: bool) -> list[Diagnosis]:
        subject = f"{url}: HTTPS"
        if url.startswith("https:"):
            try:
                expires = await certificate_expiry(url)
            except OSError as error:
                return [
                    fault(
                        subject, f"{reason_of(error)}: renew the certificate, or correct its name"
                    )
                ]
            left = expires - datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
            text = f"the certificate is valid for {counted(left.days, 'day')}"
            if left.days < CERTIFICATE_DAYS_LEAST:
                return [warning(subject, f"{text} only: renew it before the sale")]
            return [ok(subject, text)]
        if not self._production or plain_http or _is_local(url):
            return []
        return [
            fault(
                subject,
                "production without HTTPS: browsers keep the cookie that proves a place over HTTPS "
                "only. Put a proxy in front that ends TLS (deploy/nginx/waitline.conf)",
            )
        ]

    def _keys(self, url: str, answer: Fetched) -> Diagnosis:
        subject = f"{url}: keys"
        served = _kids(answer.body)
        if not served:
            return fault(
                subject, f"answers {answer.status} without keys: check what stands in front"
            )
        if self._ring is None:
            return skipped(subject, f"serves {', '.join(sorted(served))}; this machine has no keys")
        ours = _kids(jwks(self._ring, self._clock.now_ms()))
        if served == ours:
            return ok(subject, "are those of this machine")
        return fault(
            subject,
            f"serves {', '.join(sorted(served))}, and this machine has {', '.join(sorted(ours))}, "
            f"so one refuses the other's visitors: copy {self._settings.keys_file} to every "
            "machine",
        )

    async def _shared_answers(
        self, session: aiohttp.ClientSession, url: str, room: str
    ) -> Diagnosis:
        """Check that a CDN may keep what all visitors of a room get, and not for too long."""
        subject = f"{url}: CDN"
        answer = await fetch(session, f"{url}/api/v1/rooms/{quote(room, safe='')}/now-serving")
        if answer.status != HTTPStatus.OK or not isinstance(answer.body, dict):
            return fault(
                subject,
                f"answers {answer.failure or answer.status} to now-serving of {room}: let what "
                "stands in front pass /api/v1/rooms on to the queue service",
            )
        if "set-cookie" in answer.headers:
            return fault(
                subject,
                "now-serving arrives with a cookie, which a CDN would give to every visitor: let "
                "what stands in front set none on /api/v1/rooms",
            )
        old_s = (self._clock.now_ms() - int(answer.body.get("asOfMs", 0))) / 1000
        if old_s > SHARED_OLD_S:
            return fault(
                subject,
                f"now-serving is {old_s:,.0f} s old, so visitors come late for their turn: let "
                "the CDN keep it as long as its Cache-Control says, a second",
            )
        kept = answer.headers.get("cache-control", "")
        if "max-age" not in kept:
            return warning(
                subject,
                "now-serving arrives without Cache-Control, so every poll reaches the service: "
                "let what stands in front pass it on",
            )
        return ok(subject, f"now-serving may be kept: {kept}")

    async def _client_address(self, session: aiohttp.ClientSession, url: str) -> Diagnosis:
        subject = f"{url}: client addresses"
        if self._keys_here.operator is None:
            return skipped(
                subject, f"needs the operator key: set {PREFIX}OPERATOR_KEY or --data-dir"
            )
        if not url.startswith("https:") and not _is_local(url):
            return skipped(subject, "the operator key is sent over HTTPS only")
        answer = await fetch(
            session,
            f"{url}/api/v1/client",
            {
                "X-Operator-Key": self._keys_here.operator,
                "X-Forwarded-For": FORGED,
                "Forwarded": f"for={FORGED}",
            },
        )
        if answer.status != HTTPStatus.OK or not isinstance(answer.body, dict):
            return fault(
                subject,
                f"answers {answer.failure or answer.status} to the operator key of this machine: "
                f"{PREFIX}OPERATOR_KEY must be alike everywhere",
            )
        seen, peer = (answer.body["data"][name] for name in ("address", "peer"))
        if seen == FORGED:
            return fault(
                subject,
                f"a client can choose its own: it forged the header, and {peer} passed it on. Let "
                f"the proxy append its peer's address, and list only proxies in "
                f"{PREFIX}TRUSTED_PROXIES",
            )
        if seen == peer and url.startswith("https:"):
            return fault(
                subject,
                f"every visitor counts as {peer}, the proxy in front: name it in "
                f"{PREFIX}TRUSTED_PROXIES, and let it set {self._settings.forwarded_header}",
            )
        return ok(subject, f"this machine is {seen}, and a forged header is ignored")


async def _readiness(session: aiohttp.ClientSession, url: str) -> Diagnosis:
    """Check the state of the stores as the service sees them.

    Readiness says why something is not right, but proxies should not pass it on; visitors' health
    call has the state alone.
    """
    subject = f"{url}: readiness"
    answer = await fetch(session, f"{url}/actuator/health/readiness")
    if answer.status == HTTPStatus.NOT_FOUND:
        answer = await fetch(session, f"{url}/api/v1/health")
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        if isinstance(data, dict) and data.get("status") == "UP":
            return ok(subject, "its stores answer")
        return fault(
            subject,
            f"a store does not answer ({answer.failure or answer.status}): the service's own "
            "/actuator/health/readiness, on its management port, says which and why",
        )
    components = answer.body.get("components", {}) if isinstance(answer.body, dict) else {}
    details = [
        f"{name}: {one.get('detail', one.get('status'))}"
        for name, one in components.items()
        if one.get("detail") or one.get("status") != "UP"
    ]
    text = "; ".join(details)
    if answer.status != HTTPStatus.OK:
        return fault(
            subject,
            f"not ready ({answer.failure or answer.status}): "
            f"{text or 'what stands in front does not reach it'}. Without that it gets no requests",
        )
    return warning(subject, text) if text else ok(subject, "ready")


def _metrics(url: str, answer: Fetched) -> Diagnosis:
    subject = f"{url}: metrics"
    if answer.status == HTTPStatus.OK and "# HELP" in answer.text:
        return fault(
            subject,
            "anybody can read the metrics here: let the proxy pass the service's own port on, and "
            "not its management port",
        )
    return ok(subject, "not public")


async def _personal_answers(session: aiohttp.ClientSession, url: str) -> Diagnosis:
    """Check that nothing in front keeps answers that belong to one visitor."""
    subject = f"{url}: caching"
    asked = f"{url}/api/v1/queue/status?concertId={ABSENT}&userId={ABSENT}"
    answers = [await fetch(session, asked) for _ in range(2)]
    found = [
        "answers to one visitor may be kept in front, and shown to another: let caches obey "
        "Cache-Control: no-store, and pass it on"
        for answer in answers
        if "age" in answer.headers or "no-store" not in answer.headers.get("cache-control", "")
    ]
    return faults(subject, found[:1], "answers to one visitor are not kept")[0]


async def _catalogue(session: aiohttp.ClientSession, url: str) -> Diagnosis:
    """Check that the catalogue may be kept by what stands in front, as the service says."""
    subject = f"{url}: caching"
    answer = await fetch(session, f"{url}/api/v1/concerts")
    if "max-age" not in answer.headers.get("cache-control", ""):
        return warning(
            subject,
            "the catalogue arrives without Cache-Control: let what stands in front pass it on, so "
            "that browsers and CDNs keep it for a second",
        )
    return ok(subject, f"the catalogue may be kept: {answer.headers['cache-control']}")


def _kids(key_set: object) -> set[str]:
    keys = key_set.get("keys", []) if isinstance(key_set, dict) else []
    return {str(key.get("kid")) for key in keys if isinstance(key, dict)}


def _is_local(url: str) -> bool:
    return is_loopback(urlsplit(url).hostname or "")
