"""Settings of the edge: whose pages may call, which proxies are believed, limits of connections."""

from typing import Annotated, Literal

from pydantic import Field

from waitline.http import limits as edge
from waitline.http.cross_origin import CrossOrigin
from waitline.settings.installation import InstallationSettings


class EdgeSettings(InstallationSettings):
    """What both services obey before they read a request."""

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
