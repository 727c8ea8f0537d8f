"""The environment and the command line's choices: read once, checked whole.

Every setting is an environment variable `WAITLINE_…`; a flag of a command overrides it.
`waitline settings` prints each value, its meaning and where it came from.
"""

import contextlib
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from waitline.booking.model import HOLD_S
from waitline.kernel.errors import Misconfigured
from waitline.queue.model import Limits, Rules

_DEFAULT = Limits()

ServeMode = Literal["trial", "production"]
PaymentProvider = Literal["sandbox", "stripe"]
QueueDown = Literal["refuse", "admit"]

SECRET_CHARS_MIN = 16
"""A shorter key or secret could be guessed over the network."""

STRIPE_TEST_KEYS = ("sk_test_", "rk_test_")
"""What keys begin with by which Stripe moves no money. Source: Stripe's documentation, API keys."""

HOLD_S_MAX = 86_400.0
"""A reservation held unpaid for longer than a day keeps its seats from everybody else."""


class Settings(BaseSettings):
    """What an installation can choose."""

    model_config = SettingsConfigDict(env_prefix="WAITLINE_", frozen=True, extra="forbid")

    mode: ServeMode = Field(
        default="production",
        description="trial trusts whoever names a visitor; production asks for its ticket",
    )
    data_dir: Path = Field(
        default=Path(".waitline"), description="Keys, metrics, and the embedded server's data"
    )
    valkey_url: str | None = Field(
        default=None,
        description="Valkey or Redis >= 7 of your own (unix:///…, redis://…, rediss://…)",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL >= 15 of your own (postgresql://user:password@host:port/name)",
    )
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    queue_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8081, description="Port of the queue service"
    )
    workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1, description="Processes of the queue service"
    )
    booking_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=8080, description="Port of the booking service"
    )
    booking_workers: Annotated[int, Field(ge=1, le=256)] = Field(
        default_factory=lambda: os.cpu_count() or 1, description="Processes of the booking service"
    )
    operator_key: SecretStr | None = Field(
        default=None,
        description="What operator calls must carry; made in the data folder if not given",
    )
    instance: str = Field(
        default_factory=socket.gethostname, description="Label of this installation's metrics"
    )
    streams_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="Event streams that one worker holds open at most"
    )
    valkey_memory_mb: Annotated[int, Field(ge=16, le=1_048_576)] = Field(
        default=2_048, description="Memory of the embedded server, in MiB; a full one refuses joins"
    )
    sync: Literal["second", "write"] = Field(
        default="second",
        description="When the disk has taken what the embedded server wrote: once a second, or "
        "before every reply. Either survives the death of any process",
    )
    payment_provider: PaymentProvider = Field(
        default="sandbox", description="Who takes the money; the sandbox takes play money"
    )
    sandbox_latency: str = Field(
        default="0.5..1", description="Seconds that a charge takes in the sandbox of `waitline up`"
    )
    payment_url: str | None = Field(
        default=None, description="Where the payment provider answers; stripe is known by itself"
    )
    payment_key: SecretStr | None = Field(
        default=None, description="What the payment provider knows this shop by"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="What the payment provider signs its messages to us with"
    )
    queue_url: str | None = Field(
        default=None,
        description="Queue service that the booking service asks about tokens (http://…); without "
        "one it asks the store itself",
    )
    queue_down: QueueDown = Field(
        default="refuse",
        description="What happens to buyers while the queue does not answer: refuse them, or admit "
        "them unasked",
    )
    box_office: bool = Field(
        default=True, description="Whether `waitline up` opens the box office, or a line alone"
    )
    hold_s: Annotated[float, Field(gt=0, le=HOLD_S_MAX)] = Field(
        default=HOLD_S, description="How long a reservation is held unpaid, in s"
    )
    room_active_max: int = Field(default=_DEFAULT.active_max, description="Slots of a new room")
    room_admit_per_s: float = Field(
        default=_DEFAULT.admit_per_s, description="Admissions per second of a new room"
    )
    room_admit_burst: int = Field(
        default=_DEFAULT.admit_burst, description="Admissions at one instant of a new room"
    )
    room_waiting_max: int = Field(
        default=_DEFAULT.waiting_max, description="Visitors that may wait in a new room"
    )
    room_ready_ttl_ms: int = Field(
        default=_DEFAULT.ready_ttl_ms, description="Time to activate in a new room, in ms"
    )
    room_active_ttl_ms: int = Field(
        default=_DEFAULT.active_ttl_ms, description="Time to shop in a new room, in ms"
    )
    room_idle_ms: int = Field(
        default=_DEFAULT.idle_ms,
        description="Silence after which a turn is passed over in a new room, in ms; 0: never",
    )
    room_extensions_max: int = Field(
        default=_DEFAULT.extensions_max, description="Extensions of one visitor in a new room"
    )

    def new_room(self) -> Rules:
        """Return the rules of a room that is created without any of its own."""
        return Rules(
            limits=Limits(
                active_max=self.room_active_max,
                admit_per_s=self.room_admit_per_s,
                admit_burst=self.room_admit_burst,
                waiting_max=self.room_waiting_max,
                ready_ttl_ms=self.room_ready_ttl_ms,
                active_ttl_ms=self.room_active_ttl_ms,
                idle_ms=self.room_idle_ms,
                extensions_max=self.room_extensions_max,
            )
        )

    @property
    def metrics_dir(self) -> Path:
        """Where the processes of the queue service and the admitter keep their figures."""
        return self.data_dir / "metrics"

    @property
    def booking_metrics_dir(self) -> Path:
        """Where the processes of the booking service keep theirs."""
        return self.data_dir / "booking-metrics"

    @property
    def keys_file(self) -> Path:
        """Where tickets and passes get their keys from."""
        return self.data_dir / "keys" / "keys.json"

    @property
    def play_money(self) -> bool:
        """Whether the payment provider takes none but play money: the sandbox, or a test key."""
        if self.payment_provider == "sandbox":
            return True
        key = "" if self.payment_key is None else self.payment_key.get_secret_value()
        return key.startswith(STRIPE_TEST_KEYS)

    def store_url(self) -> str:
        """Return the address of the store: the one chosen, else that of the running `up`.

        Raises:
            Misconfigured: None was chosen and none runs on the data folder.
        """
        if self.valkey_url:
            return self.valkey_url
        noted = self.data_dir / "valkey.url"
        if noted.exists():
            return noted.read_text("utf-8").strip()
        raise Misconfigured(
            f"no store: nothing runs on {self.data_dir}. Start `waitline up`, or name your own "
            "server with --valkey-url"
        )

    def database_address(self) -> str:
        """Return the address of the database: the one chosen, else that of the running `up`.

        Raises:
            Misconfigured: None was chosen and none runs on the data folder.
        """
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        noted = self.data_dir / "postgres.url"
        if noted.exists():
            return noted.read_text("utf-8").strip()
        raise Misconfigured(
            f"no database: nothing runs on {self.data_dir}. Start `waitline up`, or name your own "
            "server with --database-url"
        )

    def require_payments(self) -> None:
        """Check that payments can be taken: no secret has a default, so none can be forgotten.

        Raises:
            Misconfigured: Something that the provider needs was not chosen.
        """
        needed = ["payment_key", "webhook_secret"]
        if self.payment_provider == "sandbox":
            needed.append("payment_url")
        for name in needed:
            if getattr(self, name) is None:
                raise Misconfigured(
                    f"setting {name}: the payment provider {self.payment_provider!r} needs it. "
                    f"Set WAITLINE_{name.upper()}, or start `waitline up`, which brings a sandbox"
                )


def read(**chosen: object) -> Settings:
    """Read the environment; what was chosen on the command line goes before it.

    Args:
        chosen: Settings by name; `None` means that nothing was chosen.

    Raises:
        Misconfigured: A value is not allowed, or a variable is not known.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    known = {f"WAITLINE_{name}".upper() for name in Settings.model_fields}
    for name in os.environ:
        if name.startswith("WAITLINE_") and name not in known and "_TEST_" not in name:
            raise Misconfigured(f"{name} is not a setting; `waitline settings` lists them")
    try:
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks
        settings.new_room()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        raise Misconfigured(f"setting {name}: {first['msg']}") from None
    except ValueError as error:
        raise Misconfigured(f"setting room_{error}") from None
    for name in ("operator_key", "payment_key", "webhook_secret"):
        secret: SecretStr | None = getattr(settings, name)
        if secret is not None and len(secret.get_secret_value()) < SECRET_CHARS_MIN:
            raise Misconfigured(f"setting {name}: {SECRET_CHARS_MIN} characters at least")
    return settings


def given(name: str) -> str | None:
    """Return what the environment says of a setting, or `None` if it says nothing."""
    return os.environ.get(f"WAITLINE_{name}".upper())


def inherited() -> dict[str, str]:
    """Return this process's environment without any setting, for an installation of its own."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WAITLINE_") and name != "PROMETHEUS_MULTIPROC_DIR"
    }


def environment(settings: Settings) -> dict[str, str]:
    """Return this process's environment with the settings in it, for a process to be started."""
    chosen = {
        f"WAITLINE_{name}".upper(): str(
            value.get_secret_value() if isinstance(value, SecretStr) else value
        )
        for name, value in settings
        if value is not None
    }
    return {**os.environ, **chosen}


def share_metrics(folder: Path, *, fresh: bool) -> None:
    """Let this process, and those that it starts, keep their figures in one folder.

    Must come before `waitline.kernel.telemetry` is imported.

    Args:
        folder: `Settings.metrics_dir` or `Settings.booking_metrics_dir`.
        fresh: Whether to forget the figures of processes that have ended.
    """
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def operator_key(settings: Settings) -> str:
    """Return what operators' calls must carry: the key chosen, else that of the data folder.

    The first to ask makes it, readable by its owner alone.
    """
    if settings.operator_key is not None:
        return settings.operator_key.get_secret_value()
    path = settings.data_dir / "operator.key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Written beside it and linked into place: whoever else starts now sees all of it or nothing.
    draft = settings.data_dir / f".operator.key.{os.getpid()}"
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_urlsafe(32), "utf-8")
            os.link(draft, path)
    draft.unlink(missing_ok=True)
    return path.read_text("utf-8").strip()


def export(settings: Settings) -> None:
    """Put the settings into this process's environment, for the processes that it starts."""
    os.environ.update(environment(settings))
