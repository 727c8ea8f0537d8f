"""Background refresh of rules, keys and revoked passes; requests read the latest copy.

One thread per process, started by the first request, so that a server may fork before that. It also
makes the calls that no request waits for: early ends and extensions.
"""

import logging
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from waitline_connect.client import Client, Unreachable
from waitline_connect.passes import KeySet, Pass, parse_jwks
from waitline_connect.rules import Rules

log = logging.getLogger("waitline_connect")

REVOKED_S: Final = 1.0
"""Interval of the list of revoked passes, in seconds: a visitor who left is out within two."""

DOCUMENTS_EVERY: Final = 3
"""Rules and keys come with every third list: a new key is public for 5 s before it signs."""

JITTER: Final = 0.2
"""Share by which intervals vary, so that the processes of a site do not call at one time."""

DEADLINE_S: Final = 2.0
"""Deadline of a call in the background, in seconds."""

UNREACHABLE_S: Final = 10.0
"""Without an answer for so long, in seconds, the queue counts as unreachable."""

TASKS_MAX: Final = 1_000
"""Most calls waiting; further ones are dropped, and the stays end when their time is over."""


@dataclass(frozen=True)
class Snapshot:
    """What requests are decided by.

    Attributes:
        rules: The rules.
        keys: The public keys.
        revoked: Places that left before their pass expired, by room.
    """

    rules: Rules = field(default_factory=Rules)
    keys: KeySet = field(default_factory=lambda: KeySet({}))
    revoked: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def is_revoked(self, visit: Pass) -> bool:
        """Return whether a stay has ended early."""
        return visit.place in self.revoked.get(visit.room, ())


Task = Callable[[], None]


class Source:
    """The latest snapshot, and the thread that keeps it fresh.

    Args:
        client: Calls the queue.
        key: The site key, with which the rules are fetched.
        rules: The site's own rules; `None`: those of the queue.
    """

    def __init__(self, client: Client, key: str, rules: Rules | None) -> None:
        self.client = client
        self.snapshot = Snapshot(rules or Rules())
        self._own_rules = rules is not None
        self._key = key
        self._rooms: set[str] = set()
        self._etags: dict[str, str] = {}
        self._tasks: queue.Queue[Task] = queue.Queue(TASKS_MAX)
        self._loaded = threading.Event()
        self._heard_s = float("-inf")
        self._pid = 0
        self._closed = False
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether the first refresh is over; starts the thread in a process that has none."""
        if self._pid != os.getpid():
            self._start()
        return self._loaded.is_set()

    @property
    def reachable(self) -> bool:
        """Whether the queue has answered lately."""
        return time.monotonic() - self._heard_s < UNREACHABLE_S

    def load(self, deadline_s: float) -> None:
        """Wait for the first refresh."""
        if not self.loaded:
            self._loaded.wait(deadline_s)

    def keep(self, snapshot: Snapshot) -> None:
        """Use a fixed snapshot, without a thread: for measurements."""
        self.snapshot = snapshot
        self._pid = os.getpid()
        self._loaded.set()

    def close(self) -> None:
        """End the thread, within a second."""
        self._closed = True

    def watch(self, room: str) -> None:
        """Fetch the revoked passes of a room that no rule names."""
        self._rooms.add(room)

    def enqueue(self, task: Task) -> None:
        """Run a task in the background; it is dropped if there are too many."""
        try:
            self._tasks.put_nowait(task)
        except queue.Full:
            log.warning("dropped a call: %d are waiting", TASKS_MAX)

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._loaded.clear()
            self._pid = os.getpid()
            threading.Thread(target=self._run, name="waitline-connect", daemon=True).start()

    def _run(self) -> None:
        round_number = 0
        while not self._closed:
            due_s = time.monotonic() + REVOKED_S * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - jitter
            due_s = max(due_s, time.monotonic() + self.client.retry_in_s)
            if self.client.retry_in_s <= 0:
                self._refresh(whole=round_number % DOCUMENTS_EVERY == 0)
                round_number += 1
            self._loaded.set()
            self._run_tasks(due_s)
        self.client.close()

    def _run_tasks(self, until_s: float) -> None:
        while (left_s := until_s - time.monotonic()) > 0:
            try:
                task = self._tasks.get(timeout=left_s)
            except queue.Empty:
                return
            try:
                task()
            except Unreachable as error:
                log.warning("a call failed: %s", error)
            except Exception:  # a bug in one task must not end the thread
                log.exception("a call failed")

    def _refresh(self, *, whole: bool) -> None:
        try:
            if whole or not self.snapshot.keys.keys:
                self._fetch("/.well-known/jwks.json", self._keep_keys)
                if not self._own_rules:
                    self._fetch("/api/v1/protection", self._keep_rules, {"X-Site-Key": self._key})
            for room in sorted({*self.snapshot.rules.rooms, *self._rooms}):
                path = f"/api/v1/protection/revoked?room={quote(room, safe='')}"
                self._fetch(path, partial(self._keep_revoked, room))
        except Unreachable as error:
            log.warning("the queue does not answer: %s", error)
        except Exception:  # what cannot be read is not used; the copy stays as it is
            log.exception("an answer of the queue cannot be read")

    def _fetch(
        self, path: str, keep: Callable[[Any], None], headers: Mapping[str, str] | None = None
    ) -> None:
        sent = dict(headers or {})
        if path in self._etags:
            sent["If-None-Match"] = self._etags[path]
        answer = self.client.call("GET", path, headers=sent, deadline_s=DEADLINE_S)
        self._heard_s = time.monotonic()
        if answer.status == 200:  # noqa: PLR2004 - OK
            keep(answer.body)
            self._etags.pop(path, None)
            if answer.etag:
                self._etags[path] = answer.etag
        elif answer.status != 304:  # noqa: PLR2004 - not modified
            log.error("the queue refuses %s with status %d", path.partition("?")[0], answer.status)

    def _keep_keys(self, body: object) -> None:
        keys = parse_jwks(body)
        known = {kid: key.public_bytes_raw() for kid, key in self.snapshot.keys.keys.items()}
        # With the same keys, the passes that they have verified are kept.
        if known != {kid: key.public_bytes_raw() for kid, key in keys.keys.items()}:
            self.snapshot = replace(self.snapshot, keys=keys)

    def _keep_rules(self, body: object) -> None:
        self.snapshot = replace(self.snapshot, rules=Rules.parse(body))

    def _keep_revoked(self, room: str, body: Mapping[str, Any]) -> None:
        places = frozenset(body["places"])
        kept = {**self.snapshot.revoked, room: places}
        self.snapshot = replace(self.snapshot, revoked=kept)
