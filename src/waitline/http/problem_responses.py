"""Exception handler: turns exceptions into `application/problem+json` by the table of problems."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from waitline.http.problems import ProblemTable
from waitline.http.requests import Request
from waitline.http.responses import PROBLEM, Answer
from waitline.http.texts import Language
from waitline.kernel import telemetry
from waitline.kernel.clock import Clock
from waitline.kernel.errors import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE_PREFIX = "urn:waitline:problem:"

LOG_EVERY_MS = 10_000
"""Rate limit of log lines about unavailability. While a store is down every request fails; a line
for each would flood the log, and cost more than the response."""

log = structlog.get_logger()


class ProblemBody(msgspec.Struct, frozen=True):
    """The body of every refusal. Source: RFC 9457 and the wire contract."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    message: str
    timestamp: str
    data: dict[str, Any] | None = None


class RefusalWithData(Exception):  # noqa: N818 - the refusal inside is the error
    """Carry a refusal, and data for its body, from a handler to its response.

    Attributes:
        refusal: What was refused.
        data: The body's `data` member.
    """

    def __init__(self, refusal: Refused, data: dict[str, Any]) -> None:
        super().__init__(refusal)
        self.refusal = refusal
        self.data = data


class ProblemResponses:
    """Answers requests whose handler has raised.

    Args:
        table: Describes each refusal.
        clock: For timestamps.
        root_path: Path below which a proxy serves the service; clients know paths with it.

    Attributes:
        root_path: As given.
    """

    def __init__(self, table: ProblemTable, clock: Clock, root_path: str = "") -> None:
        self.root_path = root_path
        self._table = table
        self._clock = clock
        # Called with each refused request and its refusal.
        self.on_refused: Callable[[Request, Refused], None] | None = None
        self._next_log_ms = 0
        self._unlogged = 0

    def answer(self, error: Exception, request: Request) -> Answer:
        """Return the answer to a failed request; log the error unless it is a refusal."""
        data = None
        if isinstance(error, RefusalWithData):
            data = error.data
            error = error.refusal
        if isinstance(error, Unavailable):
            self._log_unavailable(request.path, str(error))
        elif isinstance(error, Refused):
            if self.on_refused is not None:
                self.on_refused(request, error)
        else:
            log.error("request_failed", path=request.path, reason=repr(error), exc_info=error)
        problem = self._table.lookup(error)
        telemetry.REFUSALS.add(1, problem.code.code, problem.slug)
        headers = () if problem.headers is None else problem.headers(error)
        status = problem.status if problem.status_of is None else problem.status_of(error)
        body = self.body(error, request.language, path=request.path, data=data)
        return Answer(status.value, (*PROBLEM, *headers), body)

    def body(
        self, error: Exception, language: Language, *, path: str, data: dict[str, Any] | None = None
    ) -> bytes:
        """Encode the body of a problem response.

        Args:
            error: What was raised.
            language: Of the texts.
            path: The request's path, for `instance`.
            data: For the member `data`.
        """
        problem = self._table.lookup(error)
        status = problem.status if problem.status_of is None else problem.status_of(error)
        detail = problem.title if problem.detail is None else problem.detail(error)
        at = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
        return msgspec.json.encode(
            ProblemBody(
                type=TYPE_PREFIX + problem.slug,
                title=problem.title.to(language),
                status=status,
                detail=detail.to(language),
                instance=self.root_path + path if path.startswith("/") else path,
                code=problem.code.code,
                message=problem.code.message.to(language),
                timestamp=at.isoformat(timespec="milliseconds")[:-6] + "Z",
                data=problem.data(error) if data is None and problem.data is not None else data,
            )
        )

    def _log_unavailable(self, path: str, reason: str) -> None:
        """Log that the service is unavailable, at most once per `LOG_EVERY_MS`."""
        now_ms = self._clock.now_ms()
        # The lower bound limits the pause if the clock is set back.
        if self._next_log_ms - LOG_EVERY_MS <= now_ms < self._next_log_ms:
            self._unlogged += 1
            return
        log.warning("request_unavailable", path=path, reason=reason, unlogged=self._unlogged)
        self._next_log_ms = now_ms + LOG_EVERY_MS
        self._unlogged = 0
