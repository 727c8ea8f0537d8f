"""Checks of the stores: whether they answer, keep what they acknowledge, and agree on the time."""

from collections.abc import Mapping

from waitline.booking import health
from waitline.booking.mode import OfficeMode
from waitline.booking.schema import require_tables
from waitline.doctor.checks import Diagnosis, fault, faults, ok, skipped, warning
from waitline.kernel.clock import Clock
from waitline.kernel.errors import Misconfigured, Unavailable
from waitline.kernel.mode import DataMode
from waitline.postgres.pool import Database
from waitline.queue.mode import LineMode
from waitline.settings import Settings
from waitline.valkey.client import OPERATOR_TIMEOUT_S, ValkeyClient
from waitline.valkey.fitness import Fitness, info_fields, unsaved

CLOCKS_APART_MAX_MS = 1_000
"""Largest difference between the clocks of two machines. Tokens and opening times are compared by
the second; with NTP, clocks differ by milliseconds."""

FULL_SHARE = 0.7
"""Share of Valkey's memory in use before a sale above which it may not last: a waiting visitor
takes 150 bytes."""

CONNECTIONS_SPARE = 10
"""Connections of the database for commands, migrations and the server's own use."""


async def valkey(settings: Settings, clock: Clock) -> list[Diagnosis]:
    """Return the results for Valkey.

    Args:
        settings: The installation's settings.
        clock: The present time.
    """
    try:
        store = ValkeyClient(settings.store_url(), timeout_s=OPERATOR_TIMEOUT_S)
    except Misconfigured as error:
        return [fault("Valkey", str(error))]
    production = settings.mode == "production"
    try:
        infos = await store.each("INFO", expects=("NOPERM",))
        now_ms = clock.now_ms()
        readable = {name: info for name, info in infos.items() if isinstance(info, str)}
        fitness = Fitness(store, settings.durability, production=production)
        found = [
            *(
                fault("Valkey", f"{name}: {info}")
                for name, info in infos.items()
                if name not in readable
            ),
            *faults(
                "Valkey: settings",
                await fitness.faults(readable),
                "takes writes, evicts nothing, version and role are right",
            ),
        ]
        for name, info in readable.items():
            where = f"Valkey {name}" if len(infos) > 1 else "Valkey"
            fields = info_fields(info)
            found += [
                _persistence(where, info),
                _memory(where, fields, production=production),
                _clock(where, int(fields.get("server_time_usec", 0)) // 1_000, now_ms),
            ]
        found.append(_mode("Valkey: data", await LineMode(store).load(), settings))
    except Unavailable as error:
        return [fault("Valkey", f"{error}: start it, or correct WAITLINE_VALKEY_URL")]
    finally:
        await store.close()
    return found


async def database(settings: Settings, clock: Clock) -> list[Diagnosis]:
    """Return the results for the box office's database.

    Args:
        settings: The installation's settings.
        clock: The present time.
    """
    try:
        address = settings.database_address()
    except Misconfigured:
        return [skipped("PostgreSQL", "no address: WAITLINE_DATABASE_URL is not set")]
    server = Database(address, "waitline.booking", connections_max=1)
    try:
        await health.ping(server)
        time = await health.server_clock(server)
        found = [
            ok("PostgreSQL", "takes writes"),
            _clock("PostgreSQL", time.now_ms, clock.now_ms()),
        ]
        lossy = await health.lossy(server)
        found.append(
            fault("PostgreSQL: settings", lossy.reason)
            if lossy
            else ok("PostgreSQL: settings", "keeps what it acknowledges")
        )
        found += [_connections(settings, time.connections_max), await _tables(server)]
        found.append(_mode("PostgreSQL: data", (await OfficeMode(server).load()).mode, settings))
    except Unavailable as error:
        return [fault("PostgreSQL", f"{error}: start it, or correct WAITLINE_DATABASE_URL")]
    except Misconfigured as error:
        return [fault("PostgreSQL", str(error))]
    finally:
        await server.close()
    return found


async def _tables(server: Database) -> Diagnosis:
    subject = "PostgreSQL: tables"
    try:
        await require_tables(server)
    except Misconfigured as error:
        return fault(subject, str(error))
    return ok(subject, "match this version")


def _persistence(where: str, info: str) -> Diagnosis:
    subject = f"{where}: persistence"
    text = unsaved(info)
    return warning(subject, text) if text else ok(subject, "keeps an append-only file")


def _memory(where: str, fields: Mapping[str, str], *, production: bool) -> Diagnosis:
    subject = f"{where}: memory"
    used, most = (int(fields.get(name, 0)) for name in ("used_memory", "maxmemory"))
    if not most:
        text = f"no limit, {used // 2**20:,} MiB used"
        if not production:
            return ok(subject, text)
        return warning(
            subject,
            f"{text}: when the machine is full, the system ends the store. Set maxmemory below "
            "the machine's memory",
        )
    share = used / most
    text = f"{share:.0%} of {most // 2**20:,} MiB used"
    if share < FULL_SHARE:
        return ok(subject, text)
    return warning(
        subject,
        f"{text}: when it is full, new visitors are refused. Raise maxmemory, or reset rooms of "
        "past sales (waitline rooms reset)",
    )


def _clock(where: str, theirs_ms: int, ours_ms: int) -> Diagnosis:
    subject = f"{where}: clock"
    apart_ms = abs(theirs_ms - ours_ms)
    if apart_ms <= CLOCKS_APART_MAX_MS:
        return ok(subject, "agrees with this machine's")
    return fault(
        subject,
        f"differs from this machine's by {apart_ms / 1000:.1f} s: synchronise both by NTP",
    )


def _connections(settings: Settings, most: int) -> Diagnosis:
    subject = "PostgreSQL: connections"
    needed = settings.booking_workers * settings.database_connections + CONNECTIONS_SPARE
    if needed <= most:
        return ok(subject, f"{most:,} allowed; this machine's booking service takes {needed:,}")
    return fault(
        subject,
        f"{most:,} allowed, and this machine's booking service alone takes {needed:,}: raise "
        "max_connections, or lower WAITLINE_DATABASE_CONNECTIONS",
    )


def _mode(subject: str, mode: DataMode | None, settings: Settings) -> Diagnosis:
    if mode is None:
        return ok(subject, "no mode yet: the first start writes it")
    if mode == settings.mode:
        return ok(subject, f"{mode} mode, as the settings say")
    return fault(
        subject,
        f"{mode} mode, and the settings say {settings.mode}: set WAITLINE_MODE={mode}, or change "
        "the data with `waitline mode set`, which first says what it deletes",
    )
