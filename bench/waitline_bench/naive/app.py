"""Baseline: a naive waiting room on FastAPI, with one store call per step.

It does less than Waitline (no admission, no expiry, no limits) and its steps are not atomic. It is
a fair baseline: the same server, driver and store, pooled connections, asynchronous throughout.
"""

import os
import secrets
from typing import Any, cast

import redis.asyncio
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

app = FastAPI()
store = redis.asyncio.Redis.from_url(
    os.environ["NAIVE_VALKEY_URL"],  # noqa: TID251 - not part of Waitline
    decode_responses=True,
)


class Visitor(BaseModel):
    """Body of enter."""

    concertId: str  # noqa: N815 - the contract's names
    userId: str  # noqa: N815


class Shown(Visitor):
    """Body of validate."""

    token: str


@app.post("/api/v1/queue/enter", status_code=201)
async def enter(visitor: Visitor) -> dict[str, Any]:
    """Take a place."""
    line, tokens = f"naive:{visitor.concertId}:line", f"naive:{visitor.concertId}:tokens"
    new = await store.zscore(line, visitor.userId) is None
    if new:
        place = await store.incr(f"naive:{visitor.concertId}:seq")
        await store.zadd(line, {visitor.userId: place}, nx=True)
        await store.hset(tokens, visitor.userId, secrets.token_urlsafe(16))
    rank = cast("int | None", await store.zrank(line, visitor.userId)) or 0
    token = await store.hget(tokens, visitor.userId)
    data = {
        "concertId": visitor.concertId,
        "userId": visitor.userId,
        "position": rank + 1,
        "totalWaiting": await store.zcard(line),
        "estimatedWaitMinutes": rank // 1000,
        "status": "WAITING",
        "token": token,
        "isNewEntry": new,
    }
    return {"result": "success", "message": "entered", "data": data}


@app.get("/api/v1/queue/status")
async def status(concertId: str, userId: str) -> dict[str, Any]:  # noqa: N803 - the contract's
    """Return a visitor's status."""
    rank = cast("int | None", await store.zrank(f"naive:{concertId}:line", userId))
    if rank is None:
        raise HTTPException(404)
    token = await store.hget(f"naive:{concertId}:tokens", userId)
    data = {
        "concertId": concertId,
        "userId": userId,
        "token": token,
        "status": "WAITING",
        "position": rank + 1,
        "expiredAt": None,
        "extendCount": 0,
        "recommendedPollIntervalMs": 3000,
        "minPollIntervalMs": 2000,
    }
    return {"result": "success", "message": "status", "data": data}


@app.post("/api/v1/queue/validate")
async def validate(shown: Shown) -> dict[str, Any]:
    """Check a token."""
    token = await store.hget(f"naive:{shown.concertId}:tokens", shown.userId)
    if token != shown.token:
        raise HTTPException(401)
    return {"result": "success", "message": "valid", "data": None}
