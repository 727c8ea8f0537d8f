"""Service settings: each is declared once, with its type, range, default and meaning."""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from waitline.booking.cooldown import DROPS_MAX
from waitline.booking.model import HOLD_S
from waitline.http import limits as edge
from waitline.http.cross_origin import CrossOrigin
from waitline.http.texts import Language
from waitline.kernel.errors import Misconfigured
from waitline.payment_providers.registry import PROVIDERS
from waitline.queue.settings import Limits, Rules

PREFIX = "WAITLINE_"

ServeMode = Literal["trial", "production"]
if TYPE_CHECKING:
    PaymentProvider = str
else:
    PaymentProvider = Literal[tuple(PROVIDERS)]
Payments = Literal["real-money", "play-money"]
QueueDown = Literal["refuse", "admit"]

HOLD_S_MAX = 86_400.0
"""Longest time, in s, that an unpaid reservation may be held: a day. Its seats cannot be sold
meanwhile."""


class Settings(BaseSettings):
    """All service settings of an installation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        # WAITLINE_ROOM_ACTIVE_MAX is `room.active_max`.
        env_nested_delimiter="_",
        env_nested_max_split=1,
        frozen=True,
        extra="forbid",
    )

    mode: ServeMode = Field(
        default="production",
        description="trial: user IDs are accepted without proof; production: visitors "
        "must present their ticket",
    )
    data_dir: Path = Field(
        default=Path(".waitline"),
        description="Folder for keys, metrics and the embedded servers' data",
    )
    valkey_url: str | None = Field(
        default=None,
        description="Your own Valkey or Redis >= 7: unix:///…, redis://…, rediss://…",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Your own PostgreSQL >= 15: postgresql://user:password@host:port/name",
    )
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    queue_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8081, description="Port of the queue service"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        json_schema_extra={"default": "one per core"},
        description="Processes of the queue service",
    )
    booking_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8080, description="Port of the booking service"
    )
    booking_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1,
        json_schema_extra={"default": "one per core"},
        description="Processes of the booking service",
    )
    management_host: str = Field(
        default="127.0.0.1",
        description="Address of metrics, version and API description in production mode; keep it "
        "away from visitors",
    )
    queue_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9081, description="Port of the queue service on the management address"
    )
    booking_management_port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=9080, description="Port of the booking service on the management address"
    )
    operator_key: SecretStr | None = Field(
        default=None,
        description="Key that operators' requests must carry; generated in the data folder if "
        "not set",
    )
    allowed_origins: str | None = Field(
        default=None,
        description="Origins whose pages may call the services from browsers (CORS), separated by "
        "commas: https://shop.example",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Proxies in front whose word on a client's address is believed: networks or "
        "addresses, separated by commas; unix for a unix socket",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for",
        description="Header in which the trusted proxies give it; another is not believed",
    )
    queue_root_path: str | None = Field(
        default=None,
        description="Path below which a proxy in front serves the queue service: /queue; it may "
        "take the path off or leave it",
    )
    booking_root_path: str | None = Field(
        default=None, description="The same for the booking service: /booking"
    )
    language: Language = Field(
        default="en",
        description="Language of pages in browsers that ask for neither English nor Korean; API "
        "texts stay Korean then",
    )
    queue_public_url: str | None = Field(
        default=None,
        description="Address of the queue service for browsers, to which the box office's pages "
        "send visitors: https://queue.example",
    )
    instance: str = Field(
        default_factory=socket.gethostname,
        json_schema_extra={"default": "the host name"},
        description="Label of this installation's metrics",
    )
    streams_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Most event streams that one worker holds open"
    )
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=edge.CONNECTIONS,
        description="Most connections of one worker, and never more than its open files allow; a "
        "further one gets 503 and is closed",
    )
    request_line_bytes: Annotated[int, Field(ge=1_024, le=65_536)] = Field(
        default=edge.REQUEST_LINE_BYTES,
        description="Longest request line, in bytes; a longer one gets 414",
    )
    header_bytes: Annotated[int, Field(ge=1_024, le=262_144)] = Field(
        default=edge.FIELDS_BYTES,
        description="Most bytes of all header fields of a request; more get 431",
    )
    header_fields: Annotated[int, Field(ge=10, le=1_000)] = Field(
        default=edge.FIELDS, description="Most header fields of a request; more get 431"
    )
    body_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = Field(
        default=edge.BODY_BYTES,
        description="Most bytes of a request's body, except for webhooks and seat plans; more "
        "get 413",
    )
    head_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=edge.HEAD_S,
        description="How long the head of a request may take to arrive, in s; then 408",
    )
    body_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=edge.BODY_S,
        description="How long the body of a request may take to arrive, in s; then 408",
    )
    keep_alive_s: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=edge.KEEP_ALIVE_S,
        description="How long a connection may be idle before it is closed, in s; longer than a "
        "proxy in front keeps its own",
    )
    write_s: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=edge.WRITE_S,
        description="How long a client may read nothing of its response before its connection is "
        "cut, in s",
    )
    valkey_memory_mb: Annotated[int, Field(ge=16, le=1_048_576)] = Field(
        default=2_048,
        description="Memory of the embedded Valkey, in MiB; once it is full, newcomers are refused",
    )
    sync: Literal["second", "write"] = Field(
        default="second",
        description="fsync policy of the embedded Valkey: every second, or before every "
        "reply (write). Either survives the death of any process",
    )
    payments: Payments = Field(
        default="real-money",
        description="What buyers pay with in production mode; play-money rehearses production with "
        "the sandbox or a test key. Trial mode takes play money only",
    )
    payment_provider: PaymentProvider = Field(
        default="sandbox", description="Payment provider; the sandbox takes play money"
    )
    sandbox_latency: str = Field(
        default="0.5..1",
        description="Seconds that a charge takes in the sandbox of `waitline up`: a number "
        "or a range",
    )
    payment_url: str | None = Field(
        default=None, description="Address of the payment provider; needed for the sandbox"
    )
    payment_key: SecretStr | None = Field(
        default=None, description="Key by which this shop authenticates to the payment provider"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="Secret with which the payment provider signs its webhooks"
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

    def cross_origin(self) -> CrossOrigin | None:
        """Return which pages of other origins may call; `None` for none."""
        return None if self.allowed_origins is None else CrossOrigin(self.allowed_origins)

    def edge_limits(self) -> edge.EdgeLimits:
        """Return the limits of a worker's connections."""
        return edge.EdgeLimits(
            request_line_bytes=self.request_line_bytes,
            fields_bytes=self.header_bytes,
            fields=self.header_fields,
            body_bytes=self.body_bytes,
            head_s=self.head_s,
            body_s=self.body_s,
            keep_alive_s=self.keep_alive_s,
            write_s=self.write_s,
            connections=self.connections_max,
        )

    @property
    def metrics_dir(self) -> Path:
        """Metrics folder of the queue service and the admitter."""
        return self.data_dir / "metrics"

    @property
    def booking_metrics_dir(self) -> Path:
        """Metrics folder of the booking service."""
        return self.data_dir / "booking-metrics"

    @property
    def keys_file(self) -> Path:
        """File of the keys of tickets and passes."""
        return self.data_dir / "keys" / "keys.json"

    @property
    def play_money(self) -> bool:
        """Whether the payment provider moves no money: the sandbox, or another with a test key."""
        key = "" if self.payment_key is None else self.payment_key.get_secret_value()
        return key.startswith(PROVIDERS[self.payment_provider].test_keys)

    @property
    def takes_play_money(self) -> bool:
        """Whether buyers pay with play money: in trial mode, and on purpose in production."""
        return self.mode == "trial" or self.payments == "play-money"

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

    @property
    def money(self) -> str:
        """What buyers pay with, for people: `play money`, `real money`, or `none`."""
        if self.payment_provider == "none":
            return "none"
        return "play money" if self.takes_play_money else "real money"

    def store_url(self) -> str:
        """Return the address of the store: the configured one, else that of the running `up`.

        Raises:
            Misconfigured: None is configured, and no `up` runs on the data folder.
        """
        if self.valkey_url:
            return self.valkey_url
        url_file = self.data_dir / "valkey.url"
        if url_file.exists():
            return url_file.read_text("utf-8").strip()
        raise Misconfigured(
            f"no store: no `waitline up` runs on {self.data_dir}. Start one, or give the address "
            "of your own server with --valkey-url"
        )

    def database_address(self) -> str:
        """Return the address of the database: the configured one, else that of the running `up`.

        Raises:
            Misconfigured: None is configured, and no `up` runs on the data folder.
        """
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        url_file = self.data_dir / "postgres.url"
        if url_file.exists():
            return url_file.read_text("utf-8").strip()
        raise Misconfigured(
            f"no database: no `waitline up` runs on {self.data_dir}. Start one, or give the "
            "address of your own server with --database-url"
        )

    def payment_secrets(self) -> tuple[str, str]:
        """Return the payment provider's key and webhook secret; empty where unset."""
        key, secret = self.payment_key, self.webhook_secret
        return (
            "" if key is None else key.get_secret_value(),
            "" if secret is None else secret.get_secret_value(),
        )

    def require_payments(self) -> None:
        """Check that the settings of the payment provider are complete; secrets have no defaults.

        Raises:
            Misconfigured: Settings that the provider needs are missing; a line for each.
        """
        provider = PROVIDERS[self.payment_provider]
        needed = ["payment_key", "webhook_secret"] if provider.secrets_required else []
        if provider.url_required:
            needed.append("payment_url")
        missing = [
            f"{PREFIX}{name.upper()} is not set: the payment provider {self.payment_provider!r} "
            "needs it. Set it, or use `waitline up` in trial mode, which includes a sandbox"
            for name in needed
            if getattr(self, name) is None
        ]
        if missing:
            raise Misconfigured("\n".join(missing))

    def require_money(self) -> None:
        """Check that the provider takes the money that this installation should take.

        Raises:
            Misconfigured: It would take real money in a trial, or play money in production.
        """
        fault = self._money_fault()
        if fault is not None:
            raise Misconfigured(fault)

    def _money_fault(self) -> str | None:
        """Return why the provider does not take the money that it should, or `None`."""
        name = self.payment_provider
        if name == "none" or (self.payment_key is None and name != "sandbox"):
            return None
        if self.play_money and not self.takes_play_money:
            kind = "the sandbox" if name == "sandbox" else f"a test key of {name!r}"
            return (
                f"payments would be of play money: {kind} is configured. Set "
                f"{PREFIX}PAYMENT_PROVIDER and a live {PREFIX}PAYMENT_KEY, or, to rehearse "
                f"production with play money, {PREFIX}PAYMENTS=play-money"
            )
        if not self.play_money and self.takes_play_money:
            why = "trial mode takes" if self.mode == "trial" else f"{PREFIX}PAYMENTS=play-money is"
            return (
                f"{why} play money only, but {PREFIX}PAYMENT_KEY is a live key of {name!r}: use a "
                "test key, or the sandbox"
            )
        return None
