"""Who plays in a scenario, where, and what they were last told. Everything goes over HTTP."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

import httpx

from tests.booking_web.office import Office
from tests.until import until
from tests.web.stack import (
    ENGLISH,
    Event,
    events,
    refused,
    shows,
    succeeded,
)
from waitline.kernel.clock import SystemClock

# How long the trial installation holds a reservation: long enough to be told of it.
HOLD_S = 1.0

PRICE = 50_000

# Times to shop of a room: one that is over at once, and the contract's.
NO_TIME_S = 0.01
ACTIVE_S = 600

# A token of the right form that we have not made.
FORGED = "t1.00000000.1.1700000000000.AAAAAAAAAAAAAAAAAAAAAA"


class Call(NamedTuple):
    """A call of the contract: `sends` its fields as a body, as parameters, or none."""

    method: str
    path: str
    sends: str = ""


CALLS = {
    "enter": Call("POST", "/api/v1/queue/enter", "json"),
    "status": Call("GET", "/api/v1/queue/status", "params"),
    "activate": Call("POST", "/api/v1/queue/activate", "params"),
    "extend": Call("POST", "/api/v1/queue/extend", "json"),
    "validate": Call("POST", "/api/v1/queue/validate", "json"),
    "leave": Call("DELETE", "/api/v1/queue/remove", "params"),
    "discard": Call("DELETE", "/api/v1/queue/token", "params"),
    "subscribe": Call("GET", "/api/v1/queue/subscribe", "params"),
    "seats": Call("GET", "/api/v1/schedules/{schedule}/seats"),
    "reserve": Call("POST", "/api/v1/reservations", "json"),
    "reservation": Call("GET", "/api/v1/reservations/{reservation}"),
    "cancel": Call("DELETE", "/api/v1/reservations/{reservation}"),
    "pay": Call("POST", "/api/v1/payments", "json"),
    "payment": Call("GET", "/api/v1/payments/{payment}"),
}


# Seconds until a visitor's turn: where one seat is left, whoever was let in has half a minute to
# take it before the next.
TURN_S = 60.0


class Asked(NamedTuple):
    """A call that was answered, and the times before and after it, in ms since the epoch."""

    response: httpx.Response
    before_ms: int
    after_ms: int


class Hall:
    """A waiting room, and what is sold behind it."""

    def __init__(self, office: Office, **rules: object) -> None:
        self.office = office
        self.room = office.queue.room(**{"admitPerSecond": 1000, **rules})
        self.schedule = 0
        self.seats: dict[str, int] = {}

    def sell(self, numbers: Sequence[str]) -> None:
        """Put a concert on sale behind the room, as its operator would."""
        title = {"title": "Tests, live", "queue": self.room.name}
        concert = self._operate("concerts", json=title)["concertId"]
        starts = {"startsAt": "2030-01-01T19:00:00+09:00"}
        self.schedule = self._operate(f"concerts/{concert}/schedules", json=starts)["scheduleId"]
        rows = "".join(f"Floor,A,{number},VIP,{PRICE}\n" for number in numbers)
        self._operate(
            f"schedules/{self.schedule}/seats",
            content=f"section,row,seat,grade,price\n{rows}".encode(),
            headers={"Content-Type": "text/csv"},
        )
        # The numbers that the calls want are told to those who were let in.
        scout = Person(self, {})
        scout.bring("READY")
        self.seats = {seat["seatNumber"]: seat["seatId"] for seat in scout.told("seats")}
        scout.told("leave")

    def _operate(self, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> Any:  # noqa: ANN401 - JSON
        url = f"/api/v1/operator/{path}"
        sent = {**self.office.operator, **(headers or {})}
        return succeeded(self.office.client.post(url, headers=sent, **body), 201)


class Person:
    """A visitor of one hall: what it knows, and every call that it makes.

    Attributes:
        token: The newest that it was given, for the stay that goes on.
        ticket: What it was given when it entered.
        cookie: The same, as a browser keeps it.
        known: Numbers that it was told: `reservation`, `payment`, and the `amount` to pay.
    """

    def __init__(self, hall: Hall, headers: Mapping[str, str], user: int | None = None) -> None:
        self.hall = hall
        self.user = hall.office.user() if user is None else user
        self.token: str | None = None
        self.ticket: str | None = None
        self.cookie = ""
        self.known: dict[str, int] = {}
        self._headers = headers

    def fields(self, call: str, seat: str = "") -> dict[str, object]:
        """Return what a call says."""
        visitor: dict[str, object] = {"concertId": self.hall.room.name, "userId": str(self.user)}
        match call:
            case "validate":
                return {**visitor, "token": self.token}
            case "reserve":
                chosen = seat or next(iter(self.hall.seats))
                return {"seatId": self.hall.seats[chosen], "scheduleId": self.hall.schedule}
            case "pay":
                return {
                    **visitor,
                    "reservationId": self.known["reservation"],
                    "amount": self.known.get("amount", PRICE),
                    "paymentMethod": "CARD",
                }
            case _:
                return visitor

    def headers(self, call: str) -> dict[str, str]:
        """Return the headers of a call."""
        queued = CALLS[call].path.startswith("/api/v1/queue/")
        named = {} if queued else {"X-User-Id": str(self.user)}
        return {**self._headers, **named, **shows(self.token)}

    def ask(
        self,
        call: str,
        fields: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Asked:
        """Make a call."""
        method, path, sends = CALLS[call]
        office = self.hall.office
        client = office.queue.client if path.startswith("/api/v1/queue/") else office.client
        url = path.format(
            schedule=self.hall.schedule, **{"reservation": 0, "payment": 0} | self.known
        )
        said: Any = {sends: self.fields(call) if fields is None else fields} if sends else {}
        sent = self.headers(call) if headers is None else headers
        asked_ms = SystemClock().now_ms()
        response = client.request(method, url, headers=dict(sent), **said)
        asked = Asked(response, asked_ms, SystemClock().now_ms())
        self._learn(call, response)
        return asked

    def told(self, call: str, fields: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Make a call that must succeed, and return what it says."""
        return data_of(self.ask(call, fields).response)

    def reserve(self, seat: str) -> Asked:
        return self.ask("reserve", self.fields("reserve", seat))

    def state(self) -> str:
        """Return where it stands, as `status` says."""
        response = self.ask("status").response
        if response.status_code == 404:
            told: str = refused(response, 404, "Q001")["data"]["status"]
            return told
        state: str = succeeded(response)["status"]
        return state

    def becomes(self, state: str) -> None:
        until(lambda: self.state() == state, TURN_S, f"the visitor becomes {state}")

    def bring(self, state: str) -> None:
        """Enter, and go on until a state is reached."""
        entered = self.told("enter")
        assert entered["status"] == "WAITING"
        if state == "WAITING":
            return
        self.becomes("READY")
        if state == "ACTIVE":
            self.told("activate")
        elif state == "EXPIRED":
            self.run_out()
        assert self.state() == state

    def run_out(self) -> None:
        """Let the time to shop be over: the room gives none to whoever activates or extends now."""
        call = "activate" if self.state() == "READY" else "extend"
        self.hall.room.change(activeSeconds=NO_TIME_S)
        self.told(call)
        self.hall.room.change(activeSeconds=ACTIVE_S)
        self.becomes("EXPIRED")

    def seat_state(self, seat: str) -> str:
        """Return how a seat stands, as the list of all seats says."""
        path = f"/api/v1/schedules/{self.hall.schedule}/seats?status=all"
        headers = self.headers("seats")
        listed = self.hall.office.get(path, **headers)
        assert listed.status_code == 200, listed.text
        (state,) = [one["status"] for one in listed.json() if one["seatNumber"] == seat]
        return str(state)

    def _learn(self, call: str, response: httpx.Response) -> None:
        if response.status_code not in {200, 201} or call == "seats":
            return
        data = response.json()["data"] or {}
        self.token = data.get("token") or self.token
        if call == "enter":
            self.ticket = self.token
            self.cookie = response.headers.get("Set-Cookie", "").partition(";")[0]
        if call == "reserve":
            self.known |= {"reservation": data["reservationId"], "amount": data["amount"]}
        if call == "pay":
            self.known["payment"] = data["paymentId"]


class Stage:
    """One scenario.

    Attributes:
        halls: Where it plays; the first is meant unless another is named.
        asked: The calls of the last step that made any: several if they were made at once.
        asked_before: Those of the one before it.
    """

    def __init__(self, installation: Callable[[str], Any], *, english: bool) -> None:
        self._installation = installation
        self.headers = ENGLISH if english else {}
        self.halls: list[Hall] = []
        self.people: dict[str, Person] = {}
        self.asked: list[Asked] = []
        self.asked_before: list[Asked] = []
        self._answers: list[httpx.Response] = []
        self._streams = ExitStack()
        self._told: dict[str, Iterator[Event]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._streams.close()

    @property
    def hall(self) -> Hall:
        return self.halls[0]

    @property
    def answer(self) -> httpx.Response:
        """What the only call of the last step was answered."""
        (asked,) = self.asked
        return asked.response

    @property
    def answer_before(self) -> httpx.Response:
        """What the same call was answered when it was made before."""
        same = [one for one in self._answers if one.url.path == self.answer.url.path]
        return same[-2]

    def open(self, installation: str, /, **rules: object) -> Hall:
        """Create a waiting room on an installation: `trial` or `production`."""
        self.halls.append(Hall(self._installation(installation), **rules))
        return self.halls[-1]

    def person(self, name: str) -> Person:
        """Return who bears the name; a stranger comes to the first hall."""
        if name not in self.people:
            self.people[name] = Person(self.hall, self.headers)
        return self.people[name]

    def note(self, asked: Sequence[Asked]) -> None:
        """Remember what the step was answered."""
        self.asked_before, self.asked = self.asked, list(asked)
        self._answers += [one.response for one in asked]

    def subscribe(self, name: str) -> Asked:
        """Open a stream of a visitor's standing, until the scenario ends."""
        visitor = self.person(name)
        room, user = visitor.hall.room, str(visitor.user)
        stream = self._streams.enter_context(room.subscribe(user, visitor.token, **self.headers))
        self._told[name] = events(stream)
        return Asked(stream, 0, 0)

    def news(self, name: str) -> Event:
        """Return the next that a stream tells; at its end an event without a name."""
        return next(self._told[name], Event("", {}))


def data_of(response: httpx.Response) -> Any:  # noqa: ANN401 - JSON
    """Check the envelope of a success, whatever its status, and return what it holds."""
    if response.status_code == 304:
        return None
    assert response.status_code in {200, 201}, response.text
    body = response.json()
    path = response.url.path
    if path.endswith("/seats"):
        assert isinstance(body, list)
        return body
    if path.startswith("/api/v1/reservations/") and response.request.method == "GET":
        # In the envelope, and beside it.
        assert body["result"] == "success"
        assert body["data"].items() <= body.items()
        return body["data"]
    return succeeded(response, response.status_code)
