"""Tokens of every kind for one buyer, and what it takes to be somebody else."""

from tests.booking_web.office import Buyer, Office, succeeded
from waitline.kernel.clock import SystemClock
from waitline.kernel.ids import RoomId, VisitorId
from waitline.services.identity import cookie_name
from waitline.tokens.keyring import Keyring
from waitline.tokens.keyring_file import KeyringFile
from waitline.tokens.passes import mint_pass
from waitline.tokens.tickets import mint_ticket

UNKNOWN = 2**52 + 12_345
BEYOND = 10**30


def keyring(office: Office) -> KeyringFile:
    return KeyringFile(office.queue.data_dir / "keys" / "keys.json")


def ring(office: Office) -> Keyring:
    return keyring(office).load()


def joined(buyer: Buyer) -> tuple[int, int]:
    """Return the place of a buyer's ticket, and when it was taken."""
    _, _, place, issued_ms, _ = buyer.ticket.split(".")
    return int(place), int(issued_ms)


def expired_pass(buyer: Buyer, after_ms: int = 1_000) -> str:
    place, issued_ms = joined(buyer)
    return mint_pass(
        ring(buyer.office),
        RoomId(buyer.show.room),
        VisitorId(str(buyer.user)),
        place,
        joined_ms=issued_ms,
        admitted_ms=issued_ms,
        expires_ms=issued_ms + after_ms,
    )


def account_ticket(buyer: Buyer, later: int = 0) -> str:
    """Return a ticket as a room with signed visitors gives, perhaps of a later stay."""
    place, issued_ms = joined(buyer)
    room, user = RoomId(buyer.show.room), VisitorId(str(buyer.user))
    return mint_ticket(
        ring(buyer.office), room, user, place + later, issued_ms + later, account=True
    )


def rotate_twice(office: Office) -> None:
    """Add two keys, as two rotations in the future do; the one in use stays first."""
    now_ms = SystemClock().now_ms()
    for _ in range(2):
        now_ms = max(now_ms, ring(office).keys[-1].active_from_ms)
        keyring(office).rotate(now_ms)


def leave(buyer: Buyer) -> None:
    query = {"concertId": buyer.show.room, "userId": str(buyer.user)}
    headers = {"X-Queue-Token": buyer.token}
    client = buyer.office.queue.client
    succeeded(client.delete("/api/v1/queue/remove", params=query, headers=headers))


def cookie(buyer: Buyer, token: str) -> dict[str, str]:
    return {"Cookie": f"a=b; {cookie_name(RoomId(buyer.show.room)).decode()}={token}; c=d"}


def altered(token: str) -> str:
    """Return a token with another first character of its MAC or signature."""
    head, dot, mac = token.rpartition(".")
    return head + dot + ("A" if mac[0] != "A" else "B") + mac[1:]
