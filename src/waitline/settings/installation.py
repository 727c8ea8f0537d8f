"""Settings of the whole installation: mode, data, stores, addresses."""

import socket
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from waitline.http.texts import Language
from waitline.kernel.errors import Misconfigured
from waitline.kernel.process import LogFormat, LogLevel
from waitline.valkey.durability import Durability

PREFIX = "WAITLINE_"

ServeMode = Literal["trial", "production"]


class InstallationSettings(BaseSettings):
    """Settings that all processes of an installation share."""

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
        description="trial: any user ID is accepted; production: visitors must present their "
        "ticket",
    )
    data_dir: Path = Field(
        default=Path(".waitline"),
        description="Folder for keys, metrics, and data of the embedded servers",
    )
    valkey_url: SecretStr | None = Field(
        default=None,
        description="Your own Valkey or Redis >= 7: unix:///path or redis://host:port; Sentinels: "
        "redis+sentinel://host:port,…/name; a cluster: redis+cluster://host:port,…; with TLS: "
        "rediss…",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Your own PostgreSQL >= 15: postgresql://user:password@host:port/name",
    )
    valkey_memory_mb: Annotated[int, Field(ge=16, le=1_048_576)] = Field(
        default=2_048,
        description="Memory limit of the embedded Valkey, in MiB; when full, new visitors get 503",
    )
    sync: Literal["second", "write"] = Field(
        default="second",
        description="fsync policy of the embedded Valkey: every second, or before every "
        "reply (write). Either survives the death of any process",
    )
    durability: Durability = Field(
        default="memory",
        description="What a join, an activation or a departure has reached before it is answered: "
        "the primary's memory, its disk (its appendfsync must be always), or also one replica "
        "(replicated)",
    )
    host: str = Field(default="127.0.0.1", description="Address that the services listen on")
    management_host: str = Field(
        default="127.0.0.1",
        description="Address for metrics, version and API reference in production mode; keep it "
        "away from visitors",
    )
    operator_key: SecretStr | None = Field(
        default=None,
        description="Key of the operator API; generated in the data folder if not set",
    )
    site_key: SecretStr | None = Field(
        default=None,
        description="Secret shared with the protected sites: signs the way back from the waiting "
        "page, and webhooks; generated in the data folder if not set",
    )
    language: Language = Field(
        default="en",
        description="Language of pages for browsers that prefer neither English nor Korean; API "
        "texts are Korean for them",
    )
    instance: str = Field(
        default_factory=socket.gethostname,
        json_schema_extra={"default": "the host name"},
        description="Value of the metrics label `instance`",
    )
    log_level: LogLevel = Field(default="info", description="Lowest level of log lines")
    log_format: LogFormat = Field(
        default="auto",
        description="Log lines as JSON or as text; auto: text on a terminal, else JSON",
    )
    access_log: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Share of requests in the access log: 0 for none, 1 for all; if above 0, "
        "server errors are always in it",
    )
    traces_url: str | None = Field(
        default=None,
        description="OTLP collector that gets traces over HTTP: http://collector:4318/v1/traces; "
        "none without it. Needs the extra traces",
    )
    traces_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01,
        description="Share of the traces that are recorded; a trusted proxy decides for its own",
    )

    def store_url(self) -> str:
        """Return the address of the store: the configured one, else that of the running `up`.

        Raises:
            Misconfigured: None is configured, and no `up` runs on the data folder.
        """
        if self.valkey_url is not None:
            return self.valkey_url.get_secret_value()
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

    @property
    def metrics_dir(self) -> Path:
        """Metrics folder of the queue service and the admitter."""
        return self.data_dir / "metrics"

    @property
    def admitter_metrics_dir(self) -> Path:
        """Metrics folder of an admitter that has a management address of its own."""
        return self.data_dir / "admitter-metrics"

    @property
    def booking_metrics_dir(self) -> Path:
        """Metrics folder of the booking service."""
        return self.data_dir / "booking-metrics"

    @property
    def keys_file(self) -> Path:
        """File of the keys of tickets and passes."""
        return self.data_dir / "keys" / "keys.json"
