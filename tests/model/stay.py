"""A visitor of the reference model, from joining to being forgotten."""

from dataclasses import dataclass

from waitline.queue.model import State

Row = tuple[str | int, ...]

LETTERS = {State.WAITING: "W", State.READY: "R", State.ACTIVE: "A"}


@dataclass(slots=True)
class Stay:
    """One visitor, from joining to being forgotten; a passed-over one is EXPIRED."""

    place: int
    joined_ms: int
    heard_ms: int
    state: State = State.WAITING
    called_ms: int = 0
    extensions: int = 0
    expires_ms: int = 0
    lapsed_ms: int | None = None
    mark: str = ""
    returned_ms: int = 0

    @property
    def times(self) -> str:
        if self.returned_ms:
            return f"{self.joined_ms}:{self.heard_ms}:{self.returned_ms}"
        later = self.heard_ms != self.joined_ms
        return f"{self.joined_ms}:{self.heard_ms}" if later else str(self.joined_ms)

    @property
    def claim(self) -> str:
        return f"{self.place}-{self.joined_ms}"

    @property
    def waits(self) -> bool:
        return self.state is State.WAITING

    @property
    def admitted(self) -> bool:
        return not self.waits and self.lapsed_ms is None

    def serves(self, listened_ms: int) -> bool:
        return self.letter in "RA" and self.expires_ms > listened_ms

    @property
    def letter(self) -> str:
        if self.state is State.EXPIRED:
            return "P"
        return "L" if self.lapsed_ms is not None else LETTERS[self.state]

    def row(self, word: str, lost_ms: int = 0) -> Row:
        expires_ms = self.expires_ms + (lost_ms if self.letter in "RA" else 0)
        return (word, self.place, self.joined_ms, self.called_ms, self.extensions, expires_ms)

    def left_ms(self, listened_ms: int) -> int:
        """How long a visitor who was passed over can still return."""
        if self.letter != "P" or self.lapsed_ms is None:
            return 0
        return max(0, self.lapsed_ms - listened_ms)

    def standing(self, now_ms: int, listened_ms: int) -> Row:
        """Say where a visitor stands who does not wait."""
        if self.letter != "P":
            return self.row(self.word(listened_ms), now_ms - listened_ms)
        assert self.lapsed_ms is not None
        until_ms = self.lapsed_ms + now_ms - listened_ms
        left_ms = self.left_ms(listened_ms)
        return ("passed", self.place, self.joined_ms, self.called_ms, until_ms, left_ms)

    def in_line(self, ahead: int) -> Row:
        row = (self.place, self.joined_ms, ahead)
        return ("returned", *row, self.returned_ms) if self.returned_ms else ("waiting", *row)

    def word(self, listened_ms: int) -> str:
        return self.state.lower() if self.serves(listened_ms) else "expired"
