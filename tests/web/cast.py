"""Visitors in every state, made in advance: an admission takes up to a second."""

from typing import NamedTuple

from tests.web.stack import Room, Stack, succeeded

# How many there are of each kind: one for each row that needs one.
EACH = 20

# Seconds that they stay as they are: more than the whole run takes.
LASTS_S = 3_600


class Visitor(NamedTuple):
    """One visitor, with every token that might be shown for it.

    Attributes:
        room: Where it stands.
        name: Its name.
        ticket: What it was given at its entry.
        token: What status shows for it now; the ticket where that is nothing.
    """

    room: Room
    name: str
    ticket: str
    token: str


class Cast:
    """Visitors of one room; each is given out once, since what a test does may move it on."""

    def __init__(self, stack: Stack) -> None:
        self.room = stack.room(admitPerSecond=1000, readySeconds=0.2)
        self.elsewhere = stack.room(mode="paused")
        self._made: dict[str, list[Visitor]] = {}
        # Everybody came, left and came back, and still has the ticket of the earlier stay.
        self.earlier: dict[str, str] = {}
        self._make("EXPIRED")
        self.room.change(readySeconds=LASTS_S, activeSeconds=LASTS_S)
        self._make("READY")
        active = self._enter("ACTIVE")
        for name in active:
            self.room.until(name, "READY")
            succeeded(self.room.activate(name))
        self._note("ACTIVE", active)
        self.room.change(mode="paused")
        self._make("WAITING")

    def take(self, state: str) -> Visitor:
        """Return a visitor in a state, whom nobody else has."""
        if state == "NOT_FOUND":
            return Visitor(self.room, "nobody", "t1.x.1.1.x", "t1.x.1.1.x")
        return self._made[state].pop()

    def somebody(self, state: str) -> Visitor:
        """Return a visitor in a state for a test that must not move it on."""
        if state == "NOT_FOUND":
            return self.take(state)
        return self._made[state][0]

    @property
    def neighbour(self) -> Visitor:
        """Another one, who holds a good pass for the same room."""
        return self._made["READY"][1]

    def _make(self, state: str) -> None:
        self._note(state, self._enter(state))

    def _enter(self, state: str) -> dict[str, str]:
        names = [f"{state.lower()}-{n}" for n in range(EACH)]
        for name in names:
            self.earlier[name] = self.room.arrive(name)
            succeeded(self.room.remove(name))
        return {name: self.room.arrive(name) for name in names}

    def _note(self, state: str, tickets: dict[str, str]) -> None:
        self._made[state] = [
            Visitor(self.room, name, ticket, self.room.until(name, state)["token"] or ticket)
            for name, ticket in tickets.items()
        ]
