"""What is refused at the start: secrets, addresses, injected variables; every fault at once."""

import os
from pathlib import Path

import pytest

from waitline import settings
from waitline.cli.settings import masked
from waitline.kernel.addresses import address_fault, host_fault
from waitline.kernel.errors import Misconfigured
from waitline.settings.checks import secret_fault
from waitline.settings.injected import injected
from waitline.trial.up import service_url

GOOD = "mR7/kq2+PzLw0v8E"

BAD_SECRETS = [
    pytest.param("", "is empty", id="empty"),
    pytest.param("   ", "is empty", id="blank"),
    pytest.param(f"{GOOD} ", "white space", id="space-behind"),
    pytest.param(f" {GOOD}", "white space", id="space-in-front"),
    pytest.param(f"{GOOD}\u00a0", "white space", id="no-break-space-behind"),
    pytest.param(f"{GOOD}\u3000", "white space", id="ideographic-space-behind"),
    pytest.param(f"{GOOD}\n", "control", id="line-feed-behind"),
    pytest.param(f"{GOOD}\r", "control", id="carriage-return-behind"),
    pytest.param(f"{GOOD[:8]}\n{GOOD[8:]}", "control", id="two-lines"),
    pytest.param(f"{GOOD}\t", "control", id="tab-behind"),
    pytest.param(f"{GOOD}\x1b[0m", "control", id="escape-sequence"),
    pytest.param(f"\ufeff{GOOD}", "ASCII", id="byte-order-mark"),
    pytest.param(f"{GOOD}é", "ASCII", id="accent"),
    pytest.param(GOOD[:15], "at least 16", id="15-characters"),
    pytest.param("x" * 5_000, "at most 4,096", id="very-long"),
    pytest.param("x" * 32, "placeholder", id="xxx"),
    pytest.param("0" * 32, "placeholder", id="zeros"),
    pytest.param("changeme-changeme", "placeholder", id="changeme"),
    pytest.param("change-me-in-production", "placeholder", id="change-me"),
    pytest.param("your-operator-key-here", "placeholder", id="your"),
    pytest.param("replace-with-a-secret", "placeholder", id="replace"),
    pytest.param("<operator key here>", "placeholder", id="brackets"),
    pytest.param("${WAITLINE_OPERATOR_KEY}", "placeholder", id="unexpanded"),
    pytest.param("sk_live_xxxxxxxxxxxxxxxx", "placeholder", id="stripe-example"),
    pytest.param("1234567890123456", "placeholder", id="figures"),
    pytest.param("passwordpassword", "placeholder", id="password"),
]

REDIS = ("unix", "redis", "rediss")
BAD_ADDRESSES = [
    pytest.param("", "is empty", id="empty"),
    pytest.param("redis://h:6379 ", "white space", id="space-behind"),
    pytest.param("redis://h:6379\n", "control", id="line-feed-behind"),
    pytest.param("redis://a b:6379", "white space", id="space-inside"),
    pytest.param("h:6379", "must begin with", id="no-scheme"),
    pytest.param("http://h:6379", "must begin with", id="other-scheme"),
    pytest.param("redis:/h:6379", "must begin with", id="one-slash"),
    pytest.param("redis://", "names no host", id="no-host"),
    pytest.param("redis://h:0", "port", id="port-0"),
    pytest.param("redis://h:65536", "port", id="port-65536"),
    pytest.param("redis://h:", "port", id="empty-port"),
    pytest.param("redis://h:63x79", "port", id="no-number"),
    pytest.param("redis://h:\u0661", "port", id="other-digits"),
    pytest.param("redis://::1:6379", "brackets", id="bare-ipv6"),
    pytest.param("redis://[::x]:6379", "host", id="bad-ipv6"),
    pytest.param("redis://-h:6379", "host name", id="bad-name"),
    pytest.param("unix:x", "must begin with", id="no-path"),
]


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in (*settings.VARIABLES, *(f"{name}_FILE" for name in settings.VARIABLES)):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(("secret", "fault"), BAD_SECRETS)
@pytest.mark.parametrize("name", ["operator_key", "payment_key", "webhook_secret"])
def test_bad_secrets(monkeypatch: pytest.MonkeyPatch, name: str, secret: str, fault: str) -> None:
    variable = f"WAITLINE_{name.upper()}"
    monkeypatch.setenv(variable, secret)
    with pytest.raises(Misconfigured, match=f"^{variable}: [^\n]*{fault}[^\n]*$") as refused:
        settings.load()
    assert GOOD[:8] not in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    [GOOD, "a b c d e f g h i", "sk_test_51HqLyjWDarjtT1zdp7dc", "whsec_5WbX5kEWLlfzsGNj", "g" * 8
     + "hijklmnop", "enter-the-dragon"[::-1]],
)  # fmt: skip
def test_good_secrets(secret: str) -> None:
    assert secret_fault(secret) is None


@pytest.mark.parametrize(("url", "fault"), BAD_ADDRESSES)
def test_bad_addresses(monkeypatch: pytest.MonkeyPatch, url: str, fault: str) -> None:
    monkeypatch.setenv("WAITLINE_VALKEY_URL", url)
    with pytest.raises(Misconfigured, match=f"^WAITLINE_VALKEY_URL: [^\n]*{fault}[^\n]*$"):
        settings.load()
    with pytest.raises(Misconfigured, match=r"^--valkey-url: "):
        settings.load(valkey_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/valkey.sock",
        "redis://h",
        "redis://h:6379/1",
        "rediss://user:p%40ss@h.example.com:6379",
        "redis://[::1]:6379",
        "redis://127.0.0.1:1",
        "redis://valkey_1.svc.cluster.local.",
    ],
)
def test_good_addresses(url: str) -> None:
    assert address_fault(url, REDIS) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@a:5432,b:5433/d",
        "postgres:///d?host=/run/pg",
        "postgresql://h/d?sslmode=x",
    ],
)
def test_addresses_of_databases(url: str) -> None:
    assert settings.load(database_url=url).database_address() == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "mysql://h/d"),
        ("database_url", "postgresql://u:p@h:99999/d"),
        ("database_url", "postgresql://u:p@h/d\n"),
        ("payment_url", "ftp://h"),
        ("payment_url", "https://"),
        ("queue_url", "h:8081"),
        ("queue_url", "http://h:8081 "),
        ("host", ""),
        ("host", "http://h"),
        ("host", "h:80"),
        ("host", "127.0.0.1 "),
        ("data_dir", ""),
        ("instance", "a\nb"),
    ],
)
def test_other_bad_values(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    variable = f"WAITLINE_{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=f"^{variable}: [^\n]+$") as refused:
        settings.load()
    assert "u:p" not in str(refused.value)


@pytest.mark.parametrize("host", ["::1", "[::1]", "0.0.0.0", "::", "h.example", "bücher.example"])  # noqa: S104 - nothing listens
def test_good_hosts(host: str) -> None:
    assert host_fault(host) is None


def test_every_fault_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITLINE_OPERATOR_KEY", f"{GOOD} ")
    monkeypatch.setenv("WAITLINE_VALKEY_URL", "valkey:6379")
    monkeypatch.setenv("WAITLINE_WORKERS", "0")
    monkeypatch.setenv("WAITLINE_ROOM_ACTIVE_MAX", "0")
    monkeypatch.setenv("WAITLINE_QUEUE_PROT", "8081")
    monkeypatch.setenv("waitline_payment_key", GOOD)
    with pytest.raises(Misconfigured) as refused:
        settings.load(booking_port=70_000)
    lines = str(refused.value).split("\n")
    assert sorted(line.split(":")[0] for line in lines) == [
        "--booking-port",
        "WAITLINE_OPERATOR_KEY",
        "WAITLINE_QUEUE_PROT is not a setting; did you mean WAITLINE_QUEUE_PORT?",
        "WAITLINE_ROOM_ACTIVE_MAX",
        "WAITLINE_VALKEY_URL",
        "WAITLINE_WORKERS",
        "waitline_payment_key must be written WAITLINE_PAYMENT_KEY",
    ]


def test_each_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "operator_key": GOOD,
        "site_key": GOOD,
        "payment_key": GOOD,
        "webhook_secret": GOOD,
        "valkey_url": "redis://:a-password@valkey:6379",
        "database_url": "postgresql://waitline:a-password@postgres/waitline",
    }
    secrets = {name for name, variable in settings.VARIABLES.items() if variable.secret}
    assert {f"WAITLINE_{name.upper()}" for name in given} == secrets
    for name, secret in given.items():
        (tmp_path / name).write_text(f"{secret}\n", "utf-8")
        monkeypatch.setenv(f"WAITLINE_{name.upper()}_FILE", str(tmp_path / name))
    read = settings.load()
    assert {name: getattr(read, name).get_secret_value() for name in given} == given
    assert (read.store_url(), read.database_address()) == (
        given["valkey_url"],
        given["database_url"],
    )


@pytest.mark.parametrize(
    ("written", "secret"),
    [(GOOD, GOOD), (f"{GOOD}\n", GOOD), (f"{GOOD}\r\n", GOOD)],
)
def test_a_file_of_a_secret_may_end_with_a_line_feed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str, secret: str
) -> None:
    file = tmp_path / "key"
    file.write_bytes(written.encode())
    monkeypatch.setenv("WAITLINE_OPERATOR_KEY_FILE", str(file))
    read = settings.load()
    assert settings.operator_key(read) == secret
    # Processes that it starts get the secret, and do not read the file again.
    handed = settings.environment(read)
    assert handed["WAITLINE_OPERATOR_KEY"] == secret
    assert "WAITLINE_OPERATOR_KEY_FILE" not in handed


@pytest.mark.parametrize(
    "written",
    ["", "\n", f"{GOOD}\n\n", f"{GOOD} \n", f"{GOOD}\nmore\n", f"\ufeff{GOOD}", "short\n"],
)
def test_bad_files_of_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    file = tmp_path / "key"
    file.write_bytes(written.encode())
    monkeypatch.setenv("WAITLINE_WEBHOOK_SECRET_FILE", str(file))
    with pytest.raises(Misconfigured, match=r"^WAITLINE_WEBHOOK_SECRET_FILE: [^\n]+$"):
        settings.load()
    (tmp_path / "operator.key").write_bytes(written.encode())
    monkeypatch.delenv("WAITLINE_WEBHOOK_SECRET_FILE")
    with pytest.raises(Misconfigured, match=r"operator\.key: [^\n]+$"):
        settings.operator_key(settings.load(data_dir=tmp_path))


def test_a_file_that_is_not_there_or_not_the_only_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAITLINE_PAYMENT_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(Misconfigured, match=r"^WAITLINE_PAYMENT_KEY_FILE: .* cannot be read"):
        settings.load()
    monkeypatch.setenv("WAITLINE_PAYMENT_KEY", GOOD)
    with pytest.raises(Misconfigured, match=r"^WAITLINE_PAYMENT_KEY_FILE: .* is set too"):
        settings.load()


INJECTED = {
    "WAITLINE_SERVICE_HOST": "10.0.0.1",
    "WAITLINE_SERVICE_PORT": "80",
    "WAITLINE_PORT": "tcp://10.0.0.1:80",
    "WAITLINE_PORT_80_TCP": "tcp://10.0.0.1:80",
    "WAITLINE_PORT_80_TCP_ADDR": "10.0.0.1",
    "WAITLINE_QUEUE_SERVICE_HOST": "10.0.0.2",
    "WAITLINE_QUEUE_SERVICE_PORT_HTTP": "8081",
    "WAITLINE_QUEUE_PORT": "tcp://10.0.0.2:8081",
    "WAITLINE_QUEUE_PORT_8081_TCP_PROTO": "tcp",
    "WAITLINE_QUEUE_PORT_8081_TCP_PORT": "8081",
    "WAITLINE_BOOKING_PORT": "udp://10.0.0.3:8080",
    "WAITLINE_ROOM_SERVICE_HOST": "10.0.0.4",
    "WAITLINE_ROOM_PORT_53_UDP_ADDR": "10.0.0.4",
    "WAITLINE_NAME": "/web/waitline",
    "WAITLINE_VALKEY_NAME": "/web/waitline-valkey",
    "WAITLINE_ENV_PATH": "/usr/bin",
    "WAITLINE_VALKEY_ENV_VALKEY_VERSION": "8",
}


def test_what_kubernetes_and_docker_inject_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in INJECTED.items():
        assert injected(name, value), name
        monkeypatch.setenv(name, value)
    read = settings.load()
    assert (read.queue_port, read.booking_port) == (8081, 8080)
    assert not INJECTED.keys() & os.environ.keys()  # noqa: TID251 - what children inherit
    for name, value in INJECTED.items():
        monkeypatch.setenv(name, value)
    assert settings.load(queue_port=9).queue_port == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WAITLINE_QUEUE_PORT", "8082"),
        ("WAITLINE_PORT", "80"),
        ("WAITLINE_NAME", "sale"),
        ("WAITLINE_SERVICE", "queue"),
        ("WAITLINE_VALKEY_URL", "tcp://10.0.0.1:6379"),
        ("WAITLINE_QUEUE_SERVICE", "x"),
    ],
)
def test_what_an_operator_sets_is_not(name: str, value: str) -> None:
    assert not injected(name, value)


def test_a_typing_error_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAITLINE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("WAITLINE_PORT", "80")
    with pytest.raises(Misconfigured, match=r"^WAITLINE_PORT is not a setting"):
        settings.load()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://h:6379/0", "redis://h:6379/0"),
        ("rediss://ann:pw@h:6379", "rediss://ann:********@h:6379"),
        ("redis://:p@w/x@h", "redis://:********@h"),
        ("redis://pw@h", "redis://********@h"),
        ("ann:pw@h", "ann:********@h"),
        ("unix:///run/v.sock?password=pw&db=1", "unix:///run/v.sock?password=********&db=1"),
        ("postgresql://h/d?sslpassword=pw", "postgresql://h/d?sslpassword=********"),
    ],
)
def test_passwords_in_addresses_are_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8081"),  # noqa: S104 - nothing listens
        ("::", "http://[::1]:8081"),
        ("::1", "http://[::1]:8081"),
        ("127.0.0.1", "http://127.0.0.1:8081"),
        ("tickets.example", "http://tickets.example:8081"),
    ],
)
def test_printed_addresses_can_be_opened(host: str, url: str) -> None:
    assert service_url(8081, settings.load(host=host)) == url


def test_an_address_to_listen_on_has_no_brackets() -> None:
    with pytest.raises(Misconfigured, match=r"^--host: .* without brackets"):
        settings.load(host="[::1]")
