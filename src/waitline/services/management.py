"""Management process of a service: metrics, health, version and API description for operators.

`management_keeper.py` starts it and keeps it running.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter

from waitline.http.dispatch import Dispatcher
from waitline.http.framework import build_framework
from waitline.http.limits import EdgeLimits
from waitline.http.problem_responses import ProblemResponses
from waitline.http.server import serve_sockets
from waitline.http.static_files import docs_router
from waitline.http.worker import ServiceWorker
from waitline.kernel import garbage_collection
from waitline.kernel.process import stop_when_stdin_ends
from waitline.kernel.process_metrics import ProcessMetrics
from waitline.services.process import MANAGEMENT as ROLE
from waitline.services.process import start_worker
from waitline.settings import Settings

__all__ = ["ROLE", "run", "serving"]


def run(application: Callable[[Settings], ServiceWorker]) -> None:
    """Serve the management address until standard input ends, or SIGTERM.

    The numbers of the listening sockets are the command's arguments.

    Args:
        application: Builds the application from the settings.
    """
    settings = start_worker()
    stop_when_stdin_ends()
    bound = [socket.socket(fileno=int(number)) for number in sys.argv[1:]]
    serve_sockets(application(settings), bound)


@asynccontextmanager
async def serving(
    title: str,
    routers: Sequence[APIRouter],
    described: Mapping[str, Any],
    *,
    jobs: Sequence[Coroutine[Any, Any, Any]],
    tallies: ProcessMetrics,
    problems: ProblemResponses,
    limits: EdgeLimits,
) -> AsyncIterator[Dispatcher]:
    """Run the jobs of a management process while it serves.

    Args:
        title: The service's name.
        routers: The calls of the management address.
        described: OpenAPI document of the service.
        jobs: Background jobs beside those that every process has.
        tallies: Metrics of this process.
        problems: Answers for handlers that raise.
        limits: Limits of every connection, as on the public address.
    """
    # A rendering may keep this loop busy, which no visitor notices: its lag is not counted.
    own_jobs = (*jobs, tallies.keep(watches_lag=False), garbage_collection.keep())
    async with asyncio.TaskGroup() as running:
        tasks = [running.create_task(job) for job in own_jobs]
        yield Dispatcher(
            routes={},
            parameter_routes=[],
            fallback=build_framework(
                title, [*routers, docs_router()], lambda _framework: dict(described), problems
            ),
            tallies=tallies,
            problems=problems,
            limits=limits,
        )
        for task in tasks:
            task.cancel()
    tallies.flush()
