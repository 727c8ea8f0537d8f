"""Settings of the edge: CORS, trusted proxies, limits of connections."""

from typing import Annotated, Literal

from pydantic import Field

from waitline.http import limits as edge
from waitline.http.cross_origin import CrossOrigin
from waitline.kernel.addresses import is_loopback
from waitline.kernel.errors import Misconfigured
from waitline.settings.installation import PREFIX, InstallationSettings


class EdgeSettings(InstallationSettings):
    """Settings that both services apply before they handle a request."""

    allowed_origins: str | None = Field(
        default=None,
        description="CORS: origins whose pages may call the services, separated by commas: "
        "https://shop.example",
    )
    trusted_proxies: str | None = Field(
        default=None,
        description="Reverse proxies trusted to report the client address: networks or addresses, "
        "separated by commas; unix for a unix socket",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        default="x-forwarded-for",
        description="Header in which trusted proxies report the client address; others are ignored",
    )
    plain_http: bool = Field(
        default=False,
        description="Whether production may listen on an address of other machines without a "
        "trusted proxy, as in a network without visitors; browsers reject their cookies over HTTP",
    )
    certificate_addresses: str | None = Field(
        default=None,
        description="Public addresses whose certificates' expiry is a metric, separated by commas: "
        "https://queue.example,https://shop.example",
    )
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=edge.CONNECTIONS,
        description="Maximum connections of a worker, also limited by its open files; beyond that, "
        "a connection gets 503 and is closed",
    )
    request_line_bytes: Annotated[int, Field(ge=1_024, le=65_536)] = Field(
        default=edge.REQUEST_LINE_BYTES,
        description="Maximum length of the request line, in bytes; then 414",
    )
    header_bytes: Annotated[int, Field(ge=1_024, le=262_144)] = Field(
        default=edge.FIELDS_BYTES,
        description="Maximum total size of the header fields of a request, in bytes; then 431",
    )
    header_fields: Annotated[int, Field(ge=10, le=1_000)] = Field(
        default=edge.FIELDS, description="Maximum number of header fields of a request; then 431"
    )
    body_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = Field(
        default=edge.BODY_BYTES,
        description="Maximum size of a request body, in bytes, except webhooks and seat plans; "
        "then 413",
    )
    webhook_bytes: Annotated[int, Field(ge=1_024, le=1_048_576)] = Field(
        default=edge.WEBHOOK_BYTES,
        description="Maximum size of a webhook of the payment provider, in bytes; then 413",
    )
    seat_plan_bytes: Annotated[int, Field(ge=1_024, le=268_435_456)] = Field(
        default=edge.SEAT_PLAN_BYTES,
        description="Maximum size of a seat plan sent over HTTP, in bytes; then 413",
    )
    head_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=edge.HEAD_S,
        description="Timeout for receiving the head of a request, in s; then 408",
    )
    body_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=edge.BODY_S,
        description="Timeout for receiving the body of a request, in s; then 408",
    )
    keep_alive_s: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=edge.KEEP_ALIVE_S,
        description="Idle timeout of a connection, in s; keep it longer than that of the reverse "
        "proxy",
    )
    write_s: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=edge.WRITE_S,
        description="Write timeout, in s: a client that reads nothing of its response for this "
        "long is disconnected",
    )

    drain_s: Annotated[float, Field(ge=0, le=3_600)] = Field(
        default=edge.DRAIN_S,
        description="Connection draining, in s: after SIGTERM a service still serves for this "
        "long, but is not ready; longer than a load balancer takes to notice",
    )

    def require_https(self) -> None:
        """Check that production is not served to other machines without a proxy that ends TLS.

        Raises:
            Misconfigured: It would be, and nobody has said that this is meant.
        """
        allowed = self.plain_http or self.trusted_proxies is not None
        if self.mode == "production" and not allowed and not is_loopback(self.host):
            raise Misconfigured(
                f"production would be served without TLS on {self.host}: name the proxy that ends "
                f"TLS in {PREFIX}TRUSTED_PROXIES (deploy/nginx/waitline.conf), or listen on "
                f"127.0.0.1. In a network without visitors: {PREFIX}PLAIN_HTTP=true"
            )

    def cross_origin(self) -> CrossOrigin | None:
        """Return the origins whose pages may call; `None` for none."""
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
