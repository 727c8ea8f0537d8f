"""`waitline doctor`: nothing wrong with a good installation, and each fault with its remedy."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests import nginx
from tests.booking_web.office import Office
from tests.edge import test_proxy
from tests.faults import certificates
from tests.web.conftest import ROOT
from tests.web.stack import Stack
from waitline.cli import app
from waitline.doctor import machine, stores
from waitline.doctor.checks import Diagnosis, Level
from waitline.doctor.instance_keys import same_keys
from waitline.doctor.public_endpoints import ServiceChecks
from waitline.doctor.web import new_session
from waitline.kernel.clock import SystemClock
from waitline.settings import Settings, load
from waitline.tokens.keyring_file import KeyringFile
from waitline.trial.machine import free_port
from waitline.valkey.client import ValkeyClient

# What a proxy of these tests does, in place of a good one.
PASSES_A_FORGED_ADDRESS_ON = "proxy_set_header X-Forwarded-For $http_x_forwarded_for;"
ADDRESSES = "proxy_set_header X-Forwarded-For $remote_addr;"
HIDES_CACHE_CONTROL = f"{ADDRESSES} proxy_hide_header Cache-Control;"
KEEPS_ANSWERS = f"{ADDRESSES} add_header Age 3 always;"


class Late:
    """A clock that is three seconds slow."""

    def now_ms(self) -> int:
        return SystemClock().now_ms() - 3_000


def chosen(stack: Stack, mode: str = "trial", **settings: object) -> Settings:
    return load(mode=mode, data_dir=stack.data_dir, **settings)


def visited(stack: Stack, url: str, mode: str = "trial") -> dict[str, Diagnosis]:
    """Return what is found at an address, by subject without the address."""
    settings = chosen(stack, mode)
    keys, _ = machine.keys_of(settings)
    visit = ServiceChecks(settings, machine.ring_of(settings), keys, SystemClock())
    found = asyncio.run(visit.examine([url]))
    return {check.subject.removeprefix(url).removeprefix(": "): check for check in found}


@contextmanager
def proxy(
    stack: Stack, folder: Path, rules: str, more: str = "", listen: str = ""
) -> Iterator[str]:
    """Put nginx in front of the queue service."""
    config = f"""
    server {{
        listen 80; {listen}
        location / {{ proxy_pass {stack.url}; {rules} }}
        {more}
    }}
    """
    with nginx.running(config, folder) as port:
        yield f"http://127.0.0.1:{port}"


def test_a_good_installation(production_office: Office) -> None:
    office = production_office
    words = ["doctor", "--data-dir", str(office.queue.data_dir)]
    result = CliRunner().invoke(app, [*words, "--json"])
    found = {one["subject"]: one for one in json.loads(result.stdout)}
    wrong = {subject for subject, one in found.items() if one["level"] in ("warning", "fault")}
    # What this machine's shell allows, and what a test installation lacks.
    assert wrong <= {"open files", "HTTPS", "payments"}
    assert result.exit_code == 0
    for subject in (
        "signing keys",
        "Valkey: settings",
        "Valkey: clock",
        "Valkey: data",
        "PostgreSQL: tables",
        "PostgreSQL: data",
    ):
        assert found[subject]["level"] == "ok", subject
    for url, service in ((office.queue.url, "queue"), (office.url.rstrip("/"), "booking")):
        seen = visited(office.queue, url, "production")
        assert seen[""].found == f"the {service} service in production mode"
        assert {one.level for one in seen.values()} == {Level.OK}
        assert {"readiness", "metrics", "caching", "operator key"} < set(seen)
        assert ("site key" in seen) == (service == "queue")


def test_the_command_with_addresses(alone: Stack) -> None:
    """Its rooms are its own: those of a shared installation have shops on other machines."""
    alone.room()
    # The address that the shop's pages link to is checked too.
    nowhere = f"http://127.0.0.1:{free_port()}"
    words = ["doctor", "--mode", "trial", "--data-dir", str(alone.data_dir), alone.url]
    public = CliRunner().invoke(app, words, env={"WAITLINE_QUEUE_PUBLIC_URL": nowhere})
    assert public.exit_code == 1
    assert f"{nowhere}: cannot be reached" in public.stdout.replace("\n", " ")
    result = CliRunner().invoke(app, words)
    assert "now-serving may be kept" in result.stdout.replace("\n", " ")
    assert result.exit_code == 0, result.stdout
    assert f"{alone.url}: the queue service in trial mode" in result.stdout.replace("\n", " ")
    assert "signing keys: 1 key; " in result.stdout
    assert "0 faults, " in result.stdout


def test_stores_of_another_mode_and_a_slow_clock(trial_office: Office) -> None:
    settings = chosen(trial_office.queue, "production", booking_workers=100)
    found = [
        *asyncio.run(stores.valkey(settings, Late())),
        *asyncio.run(stores.database(settings, Late())),
    ]
    faults = {check.subject: check.found for check in found if check.level is Level.FAULT}
    assert set(faults) == {
        "Valkey: clock",
        "Valkey: data",
        "PostgreSQL: clock",
        "PostgreSQL: data",
        "PostgreSQL: connections",
    }
    assert "trial mode, and the settings say production" in faults["Valkey: data"]
    assert "3.0 s" in faults["PostgreSQL: clock"]
    assert "max_connections" in faults["PostgreSQL: connections"]


def test_stores_that_do_not_answer_or_have_no_address(tmp_path: Path) -> None:
    port = free_port()
    settings = load(
        data_dir=tmp_path,
        valkey_url=f"redis://127.0.0.1:{port}",
        database_url=f"postgresql://u@127.0.0.1:{port}/x",
    )
    clock = SystemClock()
    for checks in (stores.valkey(settings, clock), stores.database(settings, clock)):
        (check,) = asyncio.run(checks)
        assert check.level is Level.FAULT
        assert f"127.0.0.1:{port}" in check.found or "does not answer" in check.found
        assert ": start it, or correct WAITLINE_" in check.found
    nothing = load(data_dir=tmp_path)
    (valkey,) = asyncio.run(stores.valkey(nothing, clock))
    assert valkey.level is Level.FAULT
    assert "--valkey-url" in valkey.found
    (database,) = asyncio.run(stores.database(nothing, clock))
    assert database.level is Level.SKIPPED


def test_memory_that_will_not_last(alone: Stack) -> None:
    async def limit(most: int) -> int:
        store = ValkeyClient(alone.program.valkey_url)
        try:
            before = await store.command("CONFIG", "GET", "maxmemory")
            await store.command("CONFIG", "SET", "maxmemory", most)
            return int(before[1])
        finally:
            await store.close()

    before = asyncio.run(limit(100 * 2**20))
    try:
        for most, mode, level in (
            (2 * 2**20, "trial", Level.WARNING),
            (0, "production", Level.WARNING),
            (0, "trial", Level.OK),
        ):
            asyncio.run(limit(most))
            found = asyncio.run(stores.valkey(chosen(alone, mode), SystemClock()))
            (memory,) = (check for check in found if check.subject == "Valkey: memory")
            assert memory.level is level, memory
    finally:
        asyncio.run(limit(before))


def test_keys_of_another_machine(trial: Stack, tmp_path: Path) -> None:
    ring = KeyringFile(tmp_path / "keys.json").load_or_create(SystemClock().now_ms())
    visit = ServiceChecks(chosen(trial), ring, machine.SharedKeys(), SystemClock())
    found = {check.subject: check for check in asyncio.run(visit.examine([trial.url]))}
    keys = found[f"{trial.url}: keys"]
    assert keys.level is Level.FAULT
    assert "copy" in keys.found
    assert found[f"{trial.url}: client addresses"].level is Level.SKIPPED


def test_damaged_and_missing_keys(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path, mode="trial")
    assert (
        next(
            one for one in machine.examine(settings, SystemClock()) if one.subject == "signing keys"
        )
    ).level is Level.SKIPPED
    settings.keys_file.parent.mkdir()
    settings.keys_file.write_text("{", "utf-8")
    settings.keys_file.chmod(0o600)
    keys = next(
        one for one in machine.examine(settings, SystemClock()) if one.subject == "signing keys"
    )
    assert keys.level is Level.FAULT
    assert "damaged" in keys.found
    assert machine.keys_of(settings) == (machine.SharedKeys(), [])
    (tmp_path / "operator.key").write_text("short", "utf-8")
    _, (wrong,) = machine.keys_of(settings)
    assert (wrong.subject, wrong.level) == ("operator key", Level.FAULT)


def test_another_mode_and_a_wrong_operator_key(trial: Stack) -> None:
    found = visited(trial, trial.url, "production")
    assert "queue service in trial mode" in found[""].found
    assert found[""].level is Level.FAULT
    others = machine.SharedKeys(operator="of-another-installation")
    visit = ServiceChecks(chosen(trial), None, others, SystemClock())
    keys = {check.subject: check for check in asyncio.run(visit.examine([trial.url]))}
    client = keys[f"{trial.url}: client addresses"]
    assert client.level is Level.FAULT
    assert "401" in client.found or "403" in client.found


def test_instances_with_other_keys_than_ours(trial_office: Office) -> None:
    """Each key of each service is compared by itself."""
    queue, office = trial_office.queue.url, trial_office.url.rstrip("/")
    settings = chosen(trial_office.queue)
    ours, _ = machine.keys_of(settings)
    other = "a-key-of-another-installation"
    operator = {f"{queue}: operator key", f"{office}: operator key"}
    site = {f"{queue}: site key"}
    for keys, wrong in (
        (ours, set()),
        (ours._replace(operator=other), operator),
        (ours._replace(site=other), site),
    ):
        visit = ServiceChecks(settings, None, keys, SystemClock())
        found = asyncio.run(visit.examine([queue, office]))
        compared = {check.subject: check for check in found if check.subject in operator | site}
        assert set(compared) == operator | site
        assert {name for name, check in compared.items() if check.level is Level.FAULT} == wrong
        assert all("_KEY alike on every instance" in compared[name].found for name in wrong)
    visit = ServiceChecks(settings, None, machine.SharedKeys(), SystemClock())
    found = asyncio.run(visit.examine([queue]))
    assert {check.level for check in found if check.subject in operator | site} == {Level.SKIPPED}


def test_keys_are_compared_without_being_sent_or_shown() -> None:
    keys = machine.SharedKeys(operator="the-operators-own-key", site="the-key-of-the-sites")
    requests: list[str] = []

    class Older(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.path} {self.headers}")
            self.send_error(404)

    async def compared(url: str) -> list[Diagnosis]:
        async with new_session() as session:
            return [one for _ in range(2) for one in await same_keys(session, url, "queue", keys)]

    with ThreadingHTTPServer(("127.0.0.1", 0), Older) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            found = asyncio.run(compared(f"http://127.0.0.1:{server.server_port}"))
        finally:
            server.shutdown()
    # A proof is for one question: no two requests are alike.
    assert len(set(requests)) == len(requests) == 2
    assert all("X-Operator-Key-Proof" in one and "X-Site-Key-Proof" in one for one in requests)
    for key in keys:
        assert key is not None
        assert not [text for text in (*requests, *map(str, found)) if key in text]
    assert {one.level for one in found} == {Level.SKIPPED}


def test_an_address_without_a_service(trial_office: Office) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert "Start the service, or check the address" in visited(trial_office.queue, url)[""].found
    below = f"{trial_office.queue.url}/nothing"
    assert "as no service of Waitline does" in visited(trial_office.queue, below)[""].found


def test_an_answer_of_another_kind_is_a_fault(trial_office: Office) -> None:
    class Deep(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data":' + b"[" * 50_000)

    with ThreadingHTTPServer(("127.0.0.1", 0), Deep) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            found = visited(trial_office.queue, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    assert "as no service of Waitline does" in found[""].found


@nginx.needed
@pytest.mark.parametrize(
    ("rules", "subject", "says"),
    [
        (PASSES_A_FORGED_ADDRESS_ON, "client addresses", "can choose its own"),
        (HIDES_CACHE_CONTROL, "caching", "no-store"),
        (KEEPS_ANSWERS, "caching", "no-store"),
    ],
)
def test_a_clumsy_proxy(
    configured: Stack, tmp_path: Path, rules: str, subject: str, says: str
) -> None:
    with proxy(configured, tmp_path, rules) as url:
        found = visited(configured, url + ROOT)
    assert found[subject].level is Level.FAULT
    assert says in found[subject].found
    wrong = {name for name, check in found.items() if check.level is not Level.OK}
    assert wrong == {subject}


@nginx.needed
@pytest.mark.parametrize(
    ("rules", "level", "says"),
    [
        ("", Level.OK, "now-serving may be kept: public, max-age=1"),
        ("proxy_hide_header Cache-Control;", Level.WARNING, "every poll reaches the service"),
        ("add_header Set-Cookie a=b;", Level.FAULT, "with a cookie"),
        ("return 200 '{\"asOfMs\":1}';", Level.FAULT, "s old"),
        ("return 502;", Level.FAULT, "answers 502 to now-serving"),
    ],
    ids=["good", "no cache-control", "cookie", "kept too long", "failing"],
)
def test_what_a_cdn_keeps(
    configured: Stack, tmp_path: Path, rules: str, level: Level, says: str
) -> None:
    room = configured.room()
    path = f"{ROOT}/api/v1/rooms/"
    more = f"location {path} {{ proxy_pass {configured.url}; {rules} }}"
    with proxy(configured, tmp_path, ADDRESSES, more) as url:
        visit = ServiceChecks(chosen(configured), None, machine.SharedKeys(), SystemClock())
        found = asyncio.run(visit.examine([url + ROOT], room.name))
    (check,) = (check for check in found if check.subject.endswith(": CDN"))
    assert check.level is level, check.found
    assert says in check.found


@nginx.needed
def test_the_proxy_that_we_recommend(production_office: Office, tmp_path: Path) -> None:
    with test_proxy.proxy(production_office, test_proxy.DEPLOYED, tmp_path) as port:
        url = f"http://127.0.0.1:{port}"
        found = visited(production_office.queue, url, "production")
    assert {check.level for check in found.values()} == {Level.OK}
    assert found["readiness"].found == "its stores answer"


@nginx.needed
def test_metrics_in_public(production_office: Office, tmp_path: Path) -> None:
    stack = production_office.queue
    management = stack.program.management_urls[0]
    more = f"location /actuator/prometheus {{ proxy_pass {management}; }}"
    with proxy(stack, tmp_path, "", more) as url:
        found = visited(stack, url, "production")
    assert found["metrics"].level is Level.FAULT


@nginx.needed
def test_https(trial: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that nobody knows, then one that expires, and a proxy that is not trusted."""
    made = certificates.made(tmp_path)
    port = free_port()
    listen = (
        f"listen 127.0.0.1:{port} ssl; "
        f"ssl_certificate {made.certificate}; ssl_certificate_key {made.key};"
    )
    with proxy(trial, tmp_path, "", listen=listen):
        url = f"https://127.0.0.1:{port}"
        assert "certificate" in visited(trial, url)[""].found
        monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
        found = visited(trial, url)
    assert found["HTTPS"].level is Level.WARNING
    assert "renew it" in found["HTTPS"].found
    assert found["client addresses"].level is Level.FAULT
    assert "every visitor counts as 127.0.0.1" in found["client addresses"].found


def test_the_shop_of_a_room(trial_office: Office) -> None:
    stack = trial_office.queue
    visit = ServiceChecks(chosen(stack), None, machine.SharedKeys(), SystemClock())
    closed = f"http://127.0.0.1:{free_port()}/"
    shops = {"good": trial_office.url, "gone": f"{stack.url}/none", "closed": closed}
    found = asyncio.run(visit.pages(shops))
    assert [check.level for check in found] == [Level.OK, Level.WARNING, Level.FAULT]
    for room, check in zip(("gone", "closed"), found[1:], strict=True):
        assert f"waitline rooms set {room} --shop-url URL" in check.found


def test_a_wrong_address_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--data-dir", str(tmp_path), "queue.example"])
    assert result.exit_code != 0
