"""All service settings: each is declared once, with its type, range, default and meaning."""

import os
from typing import Annotated, Literal

from pydantic import Field

from waitline.booking.cooldown import DROPS_MAX
from waitline.booking.model import HOLD_S
from waitline.queue.settings import Limits, Rules
from waitline.settings.edge import EdgeSettings
from waitline.settings.payments import PaymentSettings

QueueDown = Literal["refuse", "admit"]

HOLD_S_MAX = 86_400.0
"""Longest time, in s, that an unpaid reservation may be held: a day. Its seats cannot be sold
meanwhile."""


class Settings(PaymentSettings, EdgeSettings):
    """All service settings of an installation; those of the two services are here."""

    queue_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8081, description="Port of the queue service"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        json_schema_extra={"default": "one per core"},
        description="Processes of the queue service",
    )
    queue_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9081, description="Port of the queue service on the management address"
    )
    queue_root_path: str | None = Field(
        default=None,
        description="Path below which a proxy in front serves the queue service: /queue; it may "
        "take the path off or leave it",
    )
    queue_public_url: str | None = Field(
        default=None,
        description="Address of the queue service for browsers, to which the box office's pages "
        "send visitors: https://queue.example",
    )
    streams_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Most event streams that one worker holds open"
    )
    queue_url: str | None = Field(
        default=None,
        description="Queue service that validates tokens for the booking service (http://…); "
        "if not set, it reads Valkey directly",
    )
    queue_down: QueueDown = Field(
        default="refuse",
        description="While the queue service does not answer: refuse buyers, or admit those "
        "whose pass has not expired",
    )
    box_office: bool = Field(
        default=True, description="Whether `waitline up` also starts the box office"
    )
    booking_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8080, description="Port of the booking service"
    )
    booking_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        json_schema_extra={"default": "one per core"},
        description="Processes of the booking service",
    )
    booking_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9080, description="Port of the booking service on the management address"
    )
    booking_root_path: str | None = Field(
        default=None,
        description="Path below which a proxy in front serves the booking service: /booking",
    )
    hold_s: Annotated[float, Field(gt=0, le=HOLD_S_MAX)] = Field(
        default=HOLD_S, description="How long a reservation is held unpaid, in s"
    )
    cooldown_drops: Annotated[int, Field(ge=0, le=DROPS_MAX)] = Field(
        default=5,
        description="Reservations that a visitor may let go unpaid within the window; at this many "
        "a cool-down begins, in which nothing is reserved; 0 for never",
    )
    cooldown_window_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=600.0, description="How long such a reservation counts, in s"
    )
    cooldown_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=60.0,
        description="Length of the first cool-down, in s; each further one is twice as long",
    )
    cooldown_max_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=600.0, description="Longest cool-down, in s"
    )
    room: Limits = Field(default_factory=Limits, description="Default limits of a new room")

    def new_room(self) -> Rules:
        """Return the default rules of a new room."""
        return Rules(limits=self.room)

    @property
    def about(self) -> dict[str, str | None]:
        """What the queue service says of the installation to everybody, by wire name.

        It does not know the payment provider, so real money is left open.
        """
        money = "play money" if self.takes_play_money else None
        return {"service": "queue", "mode": self.mode, "payments": money}

    @property
    def about_booking(self) -> dict[str, str | None]:
        """What the booking service says of the installation to everybody, by wire name."""
        return {"service": "booking", "mode": self.mode, "payments": self.money}
