"""Rooms that take visitors with a statement of the shop's only."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.shop import KeyAddress, Shop, shop
from tests.until import until
from tests.web.stack import SOON_S, Room, Stack, refused, succeeded

SIGNER = shop("ES256", "k1")


def signed_room(stack: Stack, **rules: object) -> Room:
    return stack.room(**{"identity": "signed", "identityKey": SIGNER.pem, **rules})


def enter(room: Room, user: str = "u", signer: Shop = SIGNER, **headers: str) -> httpx.Response:
    return room.enter(user, **{"X-Identity": signer.sign(room.name, user), **headers})


@pytest.fixture
def address() -> Iterator[KeyAddress]:
    with KeyAddress(SIGNER).served() as served:
        yield served


def test_no_place_without_a_statement(production: Stack) -> None:
    room = signed_room(production, mode="paused")
    key = {"X-Visitor-Key": "k" * 16}
    for headers in ({}, key, {"X-Identity": ""}):
        refused(room.enter("u", **headers), 401, "C002")
    assert room.show()["waiting"] == 0
    # Nor for somebody who is inside, whatever else is known of the visitor.
    token = succeeded(enter(room, "u", SIGNER, **key), 201)["token"]
    refused(room.enter("u", **key), 401, "C002")
    refused(room.enter("u", token), 401, "C002")
    assert room.show()["waiting"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": "elsewhere"}, id="another room's"),
        pytest.param({"sub": "v"}, id="another visitor's"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"iat": 1}, id="old"),
        pytest.param({"iat": 9_999_999_999}, id="from the future"),
        pytest.param({"header": {"kid": "k2", "jku": "http://127.0.0.1/"}}, id="address in it"),
    ],
)
def test_a_false_statement(production: Stack, changes: dict[str, Any]) -> None:
    room = signed_room(production, mode="paused")
    statement = SIGNER.sign(room.name, "u", **changes)
    refused(room.enter("u", **{"X-Identity": statement}), 401, "Q003")
    assert room.show()["waiting"] == 0


@pytest.mark.parametrize("text", ["x", "a.b.c", "é" * 20, "A" * 5_000, "eyJ" + "." * 30])
def test_no_text_is_a_server_error(production: Stack, text: str) -> None:
    room = signed_room(production, mode="paused")
    headers = [(b"X-Identity", text.encode("latin-1"))]
    client = room.stack.client
    response = client.post("/api/v1/queue/enter", json=room.who("u"), headers=headers)
    refused(response, 401, "Q003")


def test_another_signer(production: Stack) -> None:
    room = signed_room(production, mode="paused")
    refused(enter(room, signer=shop("ES256", "evil")), 401, "Q003")
    refused(enter(room, signer=shop("RS256", "evil")), 401, "Q003")


def test_one_place_for_an_account_on_every_device(production: Stack) -> None:
    room = signed_room(production)
    phone = succeeded(enter(room), 201)
    assert phone["isNewEntry"]
    assert phone["token"].startswith("a1.")
    laptop = succeeded(enter(room), 201)
    assert not laptop["isNewEntry"]
    status = room.until("u", "READY", phone["token"])
    succeeded(room.activate("u", status["token"]))
    tablet = succeeded(enter(room), 201)
    assert (tablet["status"], tablet["isNewEntry"]) == ("ACTIVE", False)
    succeeded(room.validate("u", tablet["token"]))
    assert succeeded(room.status("u", tablet["token"]))["status"] == "ACTIVE"


def test_what_a_statement_is_worth_in_other_rooms(production: Stack) -> None:
    """In a room of claimed names it is ignored, so it proves no place there."""
    room = production.room(mode="paused")
    token = succeeded(enter(room), 201)["token"]
    assert token.startswith("t1.")
    assert succeeded(enter(room), 201)["token"] is None
    refused(enter(production.unused()), 404, "C004")


def test_trial_mode_wants_the_statement_too(trial: Stack) -> None:
    room = signed_room(trial, mode="paused")
    refused(room.enter("u"), 401, "C002")
    token = succeeded(enter(room), 201)["token"]
    assert token.startswith("a1.")
    assert succeeded(room.status("u", token))["token"] == token


def test_names_in_another_normal_form(production: Stack) -> None:
    room = signed_room(production, mode="paused")
    statement = SIGNER.sign(room.name, "e\u0301")
    data = succeeded(room.enter("\xe9", **{"X-Identity": statement}), 201)
    assert (data["userId"], data["isNewEntry"]) == ("\xe9", True)


@pytest.mark.parametrize(
    ("rules", "member"),
    [
        pytest.param({"identity": "signed"}, "identity", id="no key"),
        pytest.param(
            {"identity": "signed", "identityKey": SIGNER.private_pem}, "identityKey", id="private"
        ),
        pytest.param({"identity": "trusted"}, "identity", id="no such identity"),
    ],
)
def test_no_such_room(production: Stack, rules: dict[str, str], member: str) -> None:
    body = {"room": production.unused().name, **rules}
    response = production.client.post("/api/v1/rooms", json=body, headers=production.operator)
    assert member in refused(response, 400, "C001")["detail"]
    secret = SIGNER.private_pem.splitlines()[1]
    assert secret not in response.text
    assert not any(secret in path.read_text("utf-8") for path in production.data_dir.glob("*.log"))


def test_identity_changes_only_while_nobody_is_inside(production: Stack) -> None:
    room = production.room()
    path = f"/api/v1/rooms/{room.name}"

    def change(**rules: str) -> httpx.Response:
        return production.client.patch(path, json=rules, headers=production.operator)

    waits = room.arrive()
    refused(change(identity="signed", identityKey=SIGNER.pem), 409, "C005")
    room.until("u", "READY", waits)
    refused(change(identity="signed", identityKey=SIGNER.pem), 409, "C005")
    assert room.show()["identity"] == "claimed"
    # What is the same, and the keys, may change.
    succeeded(change(identity="claimed", identityKey=SIGNER.pem))
    succeeded(room.remove("u", waits))
    succeeded(change(identity="signed"))
    until(lambda: enter(room).status_code == 201, SOON_S, "the room takes statements")
    refused(change(identity="claimed"), 409, "C005")
    succeeded(change(identityKey=shop("EdDSA").pem))
    until(
        lambda: enter(room, signer=shop("EdDSA")).status_code == 201, SOON_S, "the new key serves"
    )


def test_a_key_set(production: Stack, address: KeyAddress) -> None:
    room = signed_room(production, mode="paused", identityKey="", identityKeysUrl=address.url)
    assert succeeded(enter(room), 201)["isNewEntry"]
    for _ in range(20):
        succeeded(enter(room), 201)
        refused(enter(room, signer=shop("RS256", "evil")), 401, "Q003")
    # Two workers, each of which fetches it once, and no more for an unknown kid.
    assert address.asked <= 2
    address.answer = (500, {}, b"")
    succeeded(enter(room), 201)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((500, {}, b""), id="error"),
        pytest.param((404, {}, b"{}"), id="missing"),
        pytest.param((302, {"Location": "/elsewhere"}, b""), id="redirect"),
        pytest.param((200, {}, b"<html>"), id="page"),
        pytest.param((200, {}, b'{"keys":[]}'), id="no keys"),
        pytest.param((200, {}, b" " * 70_000), id="too long"),
        pytest.param((200, {"Content-Encoding": "gzip"}, b"x"), id="compressed"),
    ],
)
def test_no_keys_is_no_answer(
    production: Stack, address: KeyAddress, answer: tuple[int, dict[str, str], bytes]
) -> None:
    address.answer = answer
    room = signed_room(production, mode="paused", identityKey="", identityKeysUrl=address.url)
    with production.client.impatient():
        for _ in range(10):
            response = enter(room)
            refused(response, 503, "E003")
            assert response.headers["retry-after"]
    # Failures are believed for a while, or every visitor would ask the address.
    assert address.asked <= 2
