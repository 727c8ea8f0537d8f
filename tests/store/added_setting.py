"""Prints where a setting that was added appears: one of rooms, and one of schedules.

A process of its own runs it, on a copy of the product.

Usage: python added_setting.py STORE_URL
"""

import asyncio
import json
import sys
from typing import Any

import httpx
import msgspec
from typer.testing import CliRunner

from waitline import settings
from waitline.cli import app, setting_tables
from waitline.http.framework import build_framework
from waitline.http.operator_key import Operators
from waitline.http.problem_responses import ProblemResponses
from waitline.kernel.clock import SystemClock
from waitline.kernel.process import log_to_stderr
from waitline.queue.addresses import Addresses
from waitline.queue.rooms import Rooms
from waitline.queue.settings import Rules
from waitline.services.booking.bodies import ScheduleView
from waitline.services.booking.operator_bodies import NewScheduleBody
from waitline.services.problems import PROBLEMS
from waitline.services.queue import openapi
from waitline.services.queue.rooms import RoomCalls
from waitline.valkey.client import ValkeyClient

KEY = {"X-Operator-Key": "the-key-of-the-operators"}


async def over_http(url: str) -> dict[str, Any]:
    store = ValkeyClient(url)
    calls = RoomCalls(Rooms(store), Addresses(store), settings.load(), Operators(*KEY.values()))
    made = build_framework(
        "queue", [calls.router()], openapi.document, ProblemResponses(PROBLEMS, SystemClock())
    )
    transport = httpx.ASGITransport(made)
    async with httpx.AsyncClient(transport=transport, base_url="http://queue") as client:
        client.headers.update(KEY)
        rooms = "/api/v1/rooms"
        created = await client.post(rooms, json={"room": "r"})
        changed = await client.patch(f"{rooms}/r", json={"graceSeconds": 2.5})
        shown = await client.get(f"{rooms}/r")
        refused = await client.patch(f"{rooms}/r", json={"graceSeconds": 61})
        described = await client.get("/openapi.json")
    await store.close()
    return {
        "created": created.json()["data"],
        "changed": changed.json()["data"],
        "shown": shown.json()["data"],
        "refused": refused.json()["detail"],
        "schemas": described.json()["components"]["schemas"],
    }


def on_the_command_line(url: str) -> dict[str, Any]:
    runner = CliRunner()
    helped = runner.invoke(app, ["rooms", "create", "--help"], env={"COLUMNS": "200"})
    changed = runner.invoke(
        app, ["rooms", "set", "r", "--grace-seconds", "3", "--json", "--valkey-url", url]
    )
    refused = runner.invoke(
        app, ["rooms", "set", "r", "--grace-seconds", "61", "--valkey-url", url]
    )
    return {
        "help": helped.output,
        "changed": json.loads(changed.output),
        "refused": str(refused.exception),
    }


def of_a_schedule() -> dict[str, Any]:
    helped = CliRunner().invoke(app, ["concerts", "schedule", "--help"], env={"COLUMNS": "200"})
    _, schemas = msgspec.json.schema_components([ScheduleView])
    return {
        "body": NewScheduleBody.model_json_schema()["properties"],
        "view": schemas["ScheduleView"]["properties"],
        "help": helped.output,
        "table": setting_tables.concert_table(),
    }


def main() -> None:
    url = sys.argv[1]
    # Standard output is for the document.
    log_to_stderr()
    sys.stdout.write(
        json.dumps(
            {
                "default": Rules().values["grace_ms"],
                "http": asyncio.run(over_http(url)),
                "schedule": of_a_schedule(),
                "command line": on_the_command_line(url),
                "variables": {
                    name: variable.meaning for name, variable in settings.VARIABLES.items()
                },
                "table": setting_tables.room_table(),
            }
        )
    )


if __name__ == "__main__":
    main()
