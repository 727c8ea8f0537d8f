"""All service settings: each is declared once, with its type, range, default and meaning."""

import os
from typing import Annotated, Literal

from pydantic import Field

from waitline.booking.model import HOLD_S
from waitline.postgres.pool import CONNECTIONS_MAX
from waitline.queue.limits import Limits
from waitline.queue.settings import Rules
from waitline.settings.edge import EdgeSettings
from waitline.settings.payments import PaymentSettings

QueueDown = Literal["refuse", "admit"]

HOLD_S_MAX = 86_400.0
"""Longest time, in s, that an unpaid reservation may be held: a day. Its seats cannot be sold in
that time."""

DROPS_MAX = 100
"""Highest number of drops that may be allowed before a cool-down: their times are in one row."""


class Settings(PaymentSettings, EdgeSettings):
    """All service settings of an installation; those of the two services are here."""

    queue_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8081, description="Port of the queue service"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        json_schema_extra={"default": "one per core"},
        description="Worker processes of the queue service",
    )
    queue_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9081, description="Port of the queue service on the management address"
    )
    queue_label: str = Field(
        default="queue", description="Value of the metrics label `service` of the queue service"
    )
    queue_root_path: str | None = Field(
        default=None,
        description="Path prefix under which a reverse proxy serves the queue service: /queue; "
        "the proxy may strip it or pass it on",
    )
    queue_public_url: str | None = Field(
        default=None,
        description="Public address of the queue service, to which the box office's pages link: "
        "https://queue.example",
    )
    admitter_management_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None,
        description="Port of an admitter on the management address; if not set, its metrics are on "
        "the page of the queue service that shares its data folder",
    )
    streams_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Maximum open event streams of a worker"
    )
    queue_url: str | None = Field(
        default=None,
        description="Queue service through which the booking service validates tokens (http://…); "
        "if not set, it uses Valkey directly",
    )
    queue_down: QueueDown = Field(
        default="refuse",
        description="When the queue service is unreachable: refuse buyers, or admit those with an "
        "unexpired pass",
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
        description="Worker processes of the booking service",
    )
    database_connections: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=CONNECTIONS_MAX,
        description="PostgreSQL connections of a worker of the booking service; no more than the "
        "server, or a pooler in session mode, has for it",
    )
    booking_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9080, description="Port of the booking service on the management address"
    )
    booking_label: str = Field(
        default="booking",
        description="Value of the metrics label `service` of the booking service",
    )
    booking_root_path: str | None = Field(
        default=None,
        description="Path prefix under which a reverse proxy serves the booking service: /booking",
    )
    hold_s: Annotated[float, Field(gt=0, le=HOLD_S_MAX)] = Field(
        default=HOLD_S, description="Time to pay for a reservation before it expires, in s"
    )
    cooldown_drops: Annotated[int, Field(ge=0, le=DROPS_MAX)] = Field(
        default=5,
        description="Unpaid reservations within the window that start a cool-down, during which "
        "the visitor cannot reserve; 0: never",
    )
    cooldown_window_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=600.0, description="Window in which unpaid reservations count, in s"
    )
    cooldown_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=60.0,
        description="Duration of the first cool-down, in s; each further one is twice as long",
    )
    cooldown_max_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=600.0, description="Maximum duration of a cool-down, in s"
    )
    room: Limits = Field(default_factory=Limits, description="Default limits of a new room")

    def new_room(self) -> Rules:
        """Return the default rules of a new room."""
        return Rules(limits=self.room)

    @property
    def about(self) -> dict[str, str | None]:
        """The queue service's public facts about the installation, by wire name.

        It does not know the payment provider, so it cannot report real money.
        """
        money = "play money" if self.takes_play_money else None
        return {"service": "queue", "mode": self.mode, "payments": money}

    @property
    def about_booking(self) -> dict[str, str | None]:
        """The booking service's public facts about the installation, by wire name."""
        return {"service": "booking", "mode": self.mode, "payments": self.money}
