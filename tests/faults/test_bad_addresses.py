"""Stores that are set up or named wrongly: one line with the remedy, and nothing is started."""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.command_line import Run
from tests.databases import TestDatabase
from tests.faults.certificates import Certificate, made
from tests.faults.test_pgbouncer import NOT_ROOT, binary
from tests.processes import started
from tests.servers import redis_binary
from tests.until import until, until_async
from waitline.kernel.errors import Misconfigured, NeedsOperator
from waitline.services.booking.process import check_tables
from waitline.services.data_mode import claim_all
from waitline.settings import Settings
from waitline.trial import ValkeyServer
from waitline.trial.machine import free_port
from waitline.trial.valkey_cluster import Size, ValkeyCluster
from waitline.valkey import fitness
from waitline.valkey.client import ValkeyClient
from waitline.valkey.fitness import refuse_unfit
from waitline.valkey.slots import slot_of

SOON_S = 20.0
PASSWORD = "a-password-of-the-store"


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wl-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def certificate(short: Path) -> Certificate:
    return made(short)


@contextmanager
def server(
    folder: Path, *lines: str, binary: Path | None = None, password: str = ""
) -> Iterator[int]:
    """Run a server; return its port."""
    port = free_port()
    args = (f"port {port}", "bind 127.0.0.1", *(line.replace("PORT", str(port)) for line in lines))
    running = ValkeyServer(folder / str(port), args=args, binary=binary, password=password)
    running.start()
    try:
        yield port
    finally:
        running.stop()


@pytest.fixture(scope="module")
def plain(short: Path) -> Iterator[int]:
    with server(short, password=PASSWORD) as port:
        yield port


@pytest.fixture(scope="module")
def with_tls(short: Path, certificate: Certificate) -> Iterator[int]:
    lines = tls_lines(certificate)
    # Its plain port is off: what comes last counts.
    with server(short, "port 0", "tls-port PORT", *lines, binary=redis_binary()) as port:
        yield port


def tls_lines(files: Certificate) -> list[str]:
    return [
        f"tls-cert-file {files.certificate}",
        f"tls-key-file {files.key}",
        f"tls-ca-cert-file {files.certificate}",
        "tls-auth-clients no",
    ]


def refusal(url: str) -> str:
    """Return what production says of a store at its start."""
    with pytest.raises(Misconfigured) as refused:
        asyncio.run(refuse_unfit(url))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_wrong_password_is_refused(plain: int) -> None:
    said = refusal(f"redis://:wrong@127.0.0.1:{plain}")
    assert "WRONGPASS" in said
    assert "check the user and the password in --valkey-url" in said
    assert "NOAUTH" in refusal(f"redis://127.0.0.1:{plain}")


def test_tls_asked_of_a_plain_port_is_refused(plain: int) -> None:
    said = refusal(f"rediss://:{PASSWORD}@127.0.0.1:{plain}")
    assert said.endswith("its port has no TLS: write redis instead of rediss in the address")


def test_a_plain_connection_to_a_port_with_tls_is_refused(with_tls: int) -> None:
    said = refusal(f"redis://127.0.0.1:{with_tls}")
    assert said.endswith("its port has TLS: write rediss instead of redis in the address")


def test_a_certificate_that_is_not_trusted_is_refused(
    with_tls: int, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "set SSL_CERT_FILE to the file of the authority" in refusal(
        f"rediss://127.0.0.1:{with_tls}"
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    asyncio.run(refuse_unfit(f"rediss://127.0.0.1:{with_tls}"))


@pytest.mark.parametrize("mode", ["production", "trial"])
def test_a_replica_that_is_not_promoted_is_refused(
    mode: str, short: Path, plain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitness, "PROMOTION_S", 1.0)
    follows = (f"replicaof 127.0.0.1 {plain}", f"masterauth {PASSWORD}")
    with server(short, *follows, password=PASSWORD) as port, capture_logs() as logs:
        url = f"redis://:{PASSWORD}@127.0.0.1:{port}"
        with pytest.raises(Misconfigured) as refused:
            asyncio.run(refuse_unfit(url, production=mode == "production"))
    said = str(refused.value)
    assert said.endswith("it is a replica; give the address of the primary")
    # The reason is in the log at once, not only when the time is over.
    assert [(line["event"], line["reason"]) for line in logs] == [("store_not_promoted", said)]


def test_production_needs_an_append_only_file_or_a_replica(short: Path) -> None:
    with server(short, "appendonly no") as port:
        said = refusal(f"redis://127.0.0.1:{port}")
        assert said.endswith("Set appendonly to yes")
        with server(short, f"replicaof 127.0.0.1 {port}"):
            until(lambda: accepted(f"redis://127.0.0.1:{port}"), SOON_S, "a replica has a copy")


def accepted(url: str) -> bool:
    try:
        asyncio.run(refuse_unfit(url))
    except Misconfigured:
        return False
    return True


def test_a_cluster_that_lacks_slots_is_refused(short: Path) -> None:
    async def call(port: int, *words: str | int) -> None:
        store = ValkeyClient(f"redis://127.0.0.1:{port}", timeout_s=SOON_S)
        await store.command(*words)
        await store.close()

    # Without it, the port of the cluster's own connections is 10,000 higher, which may be too high.
    with server(short, "cluster-enabled yes", f"cluster-port {free_port()}") as port:
        url = f"redis+cluster://127.0.0.1:{port}"
        assert "it has no slots: create the cluster first" in refusal(url)
        asyncio.run(call(port, "CLUSTER", "ADDSLOTSRANGE", 0, 16_000))
        said = refusal(url)
        assert said.startswith("the cluster lacks a primary for 383 of 16,384 slots")
        assert said.endswith("assign them (valkey-cli --cluster fix)")
        assert "redis+cluster://" in refusal(f"redis://127.0.0.1:{port}")
        asyncio.run(call(port, "CLUSTER", "ADDSLOTSRANGE", 16_001, 16_383))
        assert accepted(url)


def test_a_server_that_is_no_cluster_is_refused(plain: int) -> None:
    assert "write redis:// instead of redis+cluster://" in refusal(
        f"redis+cluster://:{PASSWORD}@127.0.0.1:{plain}"
    )


@pytest.mark.parametrize("command", ["queue", "admitter"])
def test_nothing_is_started(command: str, plain: int, tmp_path: Path) -> None:
    words = [command, "--valkey-url", f"redis://:wrong@127.0.0.1:{plain}"]
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "waitline", *words, "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SOON_S,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "check the user and the password" in line
    assert "Is it running?" not in line


def test_up_starts_nothing_either(plain: int, tmp_path: Path, run: Run) -> None:
    words = ["up", "--mode", "production", "--data-dir", tmp_path, "--queue-port", "0"]
    url = f"redis://:wrong@127.0.0.1:{plain}"
    ended = run(*words, "--no-box-office", "--valkey-url", url)
    assert ended.code == 2
    (line,) = ended.lines
    assert "check the user and the password" in line


def test_a_cluster_is_reached_over_tls(
    short: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one, whose nodes announce their ports with TLS; one of them leads to all."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    lines = (*tls_lines(certificate), "tls-replication no")
    cluster = ValkeyCluster(short / "cluster", Size(3, 0), binary=redis_binary(), args=lines)
    ports = [free_port() for _ in cluster.nodes]

    async def call() -> None:
        for index, port in enumerate(ports):
            await cluster.send(index, "CONFIG", "SET", "tls-port", port)
        for index, port in enumerate(ports):
            await cluster.send(index, "CONFIG", "SET", "tls-cluster", "yes")
            await cluster.send(index, "CONFIG", "SET", "cluster-announce-tls-port", port)

        async def all_announced() -> bool:
            # Nodes learn the new ports of the others from the next messages.
            found = await asyncio.gather(*(cluster.send(i, "CLUSTER", "SHARDS") for i in range(3)))
            return all(f"'tls-port', {port}" in str(one) for one in found for port in ports)

        await until_async(all_announced, SOON_S, "the nodes announce their ports with TLS")
        url = f"rediss+cluster://:{cluster.password}@127.0.0.1:{ports[0]}"
        store = ValkeyClient(url, timeout_s=SOON_S)
        try:
            assert set(await store.each("PING")) == {f"127.0.0.1:{port}" for port in ports}
            names = [f"wl:{{{number}}}" for number in range(30)]
            assert len({slot_of(name) * 3 // 16_384 for name in names}) == 3
            for name in names:
                await store.command("SET", name, name)
            assert [await store.command("GET", name) for name in names] == names
        finally:
            await store.close()
        # Their plain ports still answer, and are not what was asked for.
        with pytest.raises(NeedsOperator, match="its port has no TLS"):
            await _reach(f"rediss+cluster://:{cluster.password}@127.0.0.1:{cluster.port(0)}")

    try:
        cluster.start(SOON_S)
        asyncio.run(call())
    finally:
        cluster.stop()


async def _reach(url: str) -> None:
    store = ValkeyClient(url, timeout_s=SOON_S)
    try:
        await store.command("GET", "wl:{1}")
    finally:
        await store.close()


@pytest.fixture(scope="module")
def pooler(postgres: TestDatabase, short: Path, certificate: Certificate) -> Iterator[int]:
    """A PgBouncer that demands TLS: the embedded server has none."""
    port = free_port()
    config = short / "pgbouncer.ini"
    lines = [
        "[databases]",
        f"waitline = host={postgres.url.partition('host=')[2].replace('%2F', '/')} user=waitline",
        "[pgbouncer]",
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =",
        "auth_type = any\nclient_tls_sslmode = require",
        f"client_tls_cert_file = {certificate.certificate}",
        f"client_tls_key_file = {certificate.key}",
    ]
    config.write_text("\n".join(lines), "utf-8")
    with ExitStack() as stack:
        argv = [*NOT_ROOT, binary(), str(config)]
        stack.enter_context(started(argv, {}, lambda: listens(port), SOON_S))
        yield port


def listens(port: int) -> bool:
    async def dialled() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return asyncio.run(dialled())


def database_refusal(url: str) -> str:
    """Return what the booking service says of a database at its start."""
    with pytest.raises(Misconfigured) as refused:
        claim_all(Settings(database_url=SecretStr(url)), (check_tables,))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_database_is_reached_over_tls_only_if_that_is_asked_for(pooler: int) -> None:
    url = f"postgresql://waitline@127.0.0.1:{pooler}/waitline"
    claim_all(Settings(database_url=SecretStr(f"{url}?sslmode=require")), (check_tables,))
    assert "add sslmode=require" in database_refusal(f"{url}?sslmode=disable")


def test_tls_asked_of_a_database_without_it_is_refused(short: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        pooled = short / "plain.ini"
        pooled.write_text(
            f"[databases]\n* =\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            "unix_socket_dir =\nauth_type = any\n",
            "utf-8",
        )
        argv = [*NOT_ROOT, binary(), str(pooled)]
        stack.enter_context(started(argv, {}, lambda: listens(port), SOON_S))
        said = database_refusal(f"postgresql://waitline@127.0.0.1:{port}/x?sslmode=require")
    assert said.startswith("the database has no TLS, which sslmode")
    assert "leave sslmode out" in said


def test_a_user_who_may_not_log_in_is_refused(postgres: TestDatabase) -> None:
    wrong = postgres.url.replace("//waitline@", "//nobody@")
    said = database_refusal(wrong)
    assert 'role "nobody" does not exist' in said
    assert "check WAITLINE_DATABASE_URL" in said


def test_a_database_without_tables_is_refused(postgres: TestDatabase) -> None:
    postgres.wait(postgres.sql("CREATE DATABASE bare"))
    try:
        said = database_refusal(postgres.url.replace("@/waitline", "@/bare"))
        assert said.startswith("the database has no tables of the box office: run `waitline migr")
    finally:
        postgres.wait(postgres.sql("DROP DATABASE bare WITH (FORCE)"))
