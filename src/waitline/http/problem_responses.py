"""Exception handler: turns exceptions into `application/problem+json` by the table of problems."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from waitline.http.contexts import RequestContexts
from waitline.http.problems import Problem, ProblemTable
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
"""Rate limit of log lines about unavailability, and about the refusals of each problem: one in this
time. While a store is down, or in an attack, every request fails; a line for each would flood the
log, and cost more than the response."""

PATH_CHARS_MAX = 200
"""Most characters of a path in the log: clients choose names of rooms, and some paths hold one."""

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


class _SampledLines:
    """Sampling: of the lines of one class, one in `LOG_EVERY_MS`."""

    def __init__(self) -> None:
        self._next_ms = 0
        self._unlogged = 0

    def take(self, now_ms: int) -> int | None:
        """Return how many lines were left out since the last one; `None` to leave out this one."""
        # The lower bound limits the pause if the clock is set back.
        if self._next_ms - LOG_EVERY_MS <= now_ms < self._next_ms:
            self._unlogged += 1
            return None
        unlogged, self._unlogged = self._unlogged, 0
        self._next_ms = now_ms + LOG_EVERY_MS
        return unlogged


class ProblemResponses:
    """Answers requests whose handler has raised.

    Args:
        table: Describes each refusal.
        clock: For timestamps.
        root_path: Path below which a proxy serves the service; clients know paths with it.
        contexts: Names the requests in the log.

    Attributes:
        root_path: As given.
        contexts: As given.
    """

    def __init__(
        self,
        table: ProblemTable,
        clock: Clock,
        root_path: str = "",
        contexts: RequestContexts | None = None,
    ) -> None:
        self.root_path = root_path
        self.contexts = contexts or RequestContexts()
        self._table = table
        self._clock = clock
        # Called with each refused request and its refusal.
        self.on_refused: Callable[[Request, Refused], None] | None = None
        self._unavailable = _SampledLines()
        self._refused: dict[str, _SampledLines] = {}

    def answer(self, error: Exception, request: Request) -> Answer:
        """Return the answer to a failed request; log the error unless it is a refusal."""
        data = None
        if isinstance(error, RefusalWithData):
            data = error.data
            error = error.refusal
        problem = self._table.lookup(error)
        if isinstance(error, Unavailable):
            self._log_unavailable(request, str(error))
        elif isinstance(error, Refused):
            if self.on_refused is not None:
                self.on_refused(request, error)
            self._log_refused(request, problem)
        else:
            log.error(
                "request_failed",
                path=request.path[:PATH_CHARS_MAX],
                reason=repr(error),
                request_id=self.contexts.of(request).id,
                exc_info=error,
            )
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

    def _log_unavailable(self, request: Request, reason: str) -> None:
        unlogged = self._unavailable.take(self._clock.now_ms())
        if unlogged is not None:
            log.warning(
                "request_unavailable",
                path=request.path[:PATH_CHARS_MAX],
                reason=reason,
                request_id=self.contexts.of(request).known_id,
                unlogged=unlogged,
            )

    def _log_refused(self, request: Request, problem: Problem[Any]) -> None:
        """Log a refusal without its path, and without what the client sent: both may name people.

        No id is made for it, or answers would depend on what is logged. The number of classes is
        that of the table.
        """
        lines = self._refused.get(problem.slug)
        if lines is None:
            lines = self._refused[problem.slug] = _SampledLines()
        unlogged = lines.take(self._clock.now_ms())
        if unlogged is not None:
            log.info(
                "request_refused",
                problem=problem.slug,
                code=problem.code.code,
                request_id=self.contexts.of(request).known_id,
                unlogged=unlogged,
            )
