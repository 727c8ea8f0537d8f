"""Settings of the box office: required ones are demanded, and secrets are masked."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from waitline import settings
from waitline.kernel.errors import Misconfigured
from waitline.kernel.setting import Setting
from waitline.queue.limits import LIMIT_SETTINGS
from waitline.queue.settings import Rules

SECRETS = {"payment_key": "the-key-of-this-shop", "webhook_secret": "the-secret-of-messages"}


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in settings.VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_no_secret_has_a_default() -> None:
    read = settings.load()
    secret = {name for name, variable in settings.VARIABLES.items() if variable.secret}
    assert secret == {
        f"WAITLINE_{name}".upper()
        for name in ("operator_key", "site_key", "valkey_url", "database_url", *SECRETS)
    }
    assert {settings.VARIABLES[name].read(read) for name in secret} == {None}


def test_secrets_are_not_shown_but_handed_on() -> None:
    read = settings.load(database_url="postgresql://ann:pa55word@db/tickets", **SECRETS)
    for text in (str(read), repr(read)):
        assert "pa55word" not in text
        assert not any(secret in text for secret in SECRETS.values())
    handed = settings.environment(read)
    assert handed["WAITLINE_DATABASE_URL"] == "postgresql://ann:pa55word@db/tickets"
    assert handed["WAITLINE_PAYMENT_KEY"] == SECRETS["payment_key"]


@pytest.mark.parametrize("name", [*SECRETS, "operator_key"])
def test_a_short_secret_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    variable = f"WAITLINE_{name}".upper()
    monkeypatch.setenv(variable, "tooshort")
    with pytest.raises(Misconfigured, match=f"{variable}: .* at least 16 characters") as refused:
        settings.load()
    assert "tooshort" not in str(refused.value)


def test_the_database_is_the_one_chosen_else_the_one_that_runs(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="--database-url"):
        settings.load(data_dir=tmp_path).database_address()
    (tmp_path / "postgres.url").write_text("postgresql://noted\n", "utf-8")
    assert settings.load(data_dir=tmp_path).database_address() == "postgresql://noted"
    chosen = settings.load(data_dir=tmp_path, database_url=SecretStr("postgresql://chosen"))
    assert chosen.database_address() == "postgresql://chosen"


@pytest.mark.parametrize(
    ("provider", "chosen", "missing"),
    [
        pytest.param("sandbox", {}, "payment_key", id="nothing"),
        pytest.param(
            "sandbox", {"payment_key": "the-key-of-this-shop"}, "webhook_secret", id="key"
        ),
        pytest.param("sandbox", SECRETS, "payment_url", id="secrets"),
        pytest.param("stripe", {}, "payment_key", id="stripe-nothing"),
        pytest.param("stripe", SECRETS, None, id="stripe-secrets"),
        pytest.param(
            "sandbox",
            {**SECRETS, "payment_url": "http://p", "payments": "play-money"},
            None,
            id="all",
        ),
    ],
)
def test_what_a_provider_needs_is_asked_for(
    provider: str, chosen: dict[str, str], missing: str | None
) -> None:
    read = settings.load(payment_provider=provider, **chosen)
    if missing is None:
        read.require_payments()
        return
    with pytest.raises(Misconfigured, match=f"WAITLINE_{missing}".upper()) as refused:
        read.require_payments()
    assert all(" is not set: " in line for line in str(refused.value).split("\n"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("hold_s", "0", id="no-hold"),
        pytest.param("hold_s", "86401", id="long-hold"),
        pytest.param("payment_provider", "pigeon", id="provider"),
        pytest.param("queue_down", "maybe", id="queue-down"),
        pytest.param("booking_port", "65536", id="port"),
        pytest.param("booking_workers", "0", id="workers"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_given(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(Misconfigured, match=f"^{settings.option(name)}: "):
        settings.load(**{name: value})
    variable = f"WAITLINE_{name}".upper()
    monkeypatch.setenv(variable, value)
    with pytest.raises(Misconfigured, match=f"^{variable}: "):
        settings.load()


@pytest.mark.parametrize("setting", LIMIT_SETTINGS, ids=lambda setting: setting.name)
def test_a_new_rooms_limits_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, setting: Setting
) -> None:
    variable = f"WAITLINE_ROOM_{setting.name}".upper()
    assert setting.most is not None
    monkeypatch.setenv(variable, str(setting.most))
    loaded = settings.load()
    assert loaded.new_room() == Rules().changed({setting.name: setting.most})
    # Processes that it starts get the same.
    monkeypatch.setenv(variable, settings.environment(loaded)[variable])
    assert settings.load() == loaded
    for wrong in ("-1", "none"):
        monkeypatch.setenv(variable, wrong)
        with pytest.raises(Misconfigured, match=f"^{variable}: "):
            settings.load()


def test_each_service_keeps_its_own_figures(tmp_path: Path) -> None:
    read = settings.load(data_dir=tmp_path)
    assert read.metrics_dir != read.booking_metrics_dir
    assert read.metrics_dir not in read.booking_metrics_dir.parents


@pytest.mark.parametrize(
    ("provider", "key", "plays"),
    [
        pytest.param("sandbox", "the-key-of-this-shop", True, id="sandbox"),
        pytest.param("stripe", "sk_test_0123456789", True, id="test key"),
        pytest.param("stripe", "rk_test_0123456789", True, id="restricted test key"),
        pytest.param("stripe", "sk_live_0123456789", False, id="live key"),
        pytest.param("stripe", "live_sk_test_0123456789", False, id="something else"),
        pytest.param("stripe", None, False, id="no key"),
    ],
)
def test_play_money_is_distinguished_from_real_money(
    provider: str, key: str | None, *, plays: bool
) -> None:
    assert settings.load(payment_provider=provider, payment_key=key).play_money is plays


@pytest.mark.parametrize(
    ("mode", "payments", "provider", "key", "fault"),
    [
        pytest.param("production", "real-money", "stripe", "sk_live_4eC39HqLyjW", None, id="real"),
        pytest.param("production", "play-money", "stripe", "sk_test_4eC39HqLyjW", None, id="play"),
        pytest.param(
            "production", "real-money", "stripe", "sk_test_4eC39HqLyjW", "play-money", id="test-key"
        ),
        pytest.param(
            "production", "real-money", "sandbox", "the-key-of-this-shop", "sandbox", id="sandbox"
        ),
        pytest.param(
            "production", "play-money", "stripe", "sk_live_4eC39HqLyjW", "live key", id="live-key"
        ),
        pytest.param(
            "trial", "real-money", "stripe", "sk_live_4eC39HqLyjW", "live key", id="trial"
        ),
        pytest.param("trial", "real-money", "stripe", "sk_test_4eC39HqLyjW", None, id="trial-test"),
        pytest.param("production", "real-money", "none", "", None, id="free-seats"),
    ],
)
def test_play_money_is_taken_on_purpose_only(
    mode: str, payments: str, provider: str, key: str, fault: str | None
) -> None:
    secrets = {"payment_key": key, "webhook_secret": SECRETS["webhook_secret"]} if key else {}
    read = settings.load(
        mode=mode, payments=payments, payment_provider=provider, payment_url="http://p", **secrets
    )
    if fault is None:
        read.require_money()
    else:
        with pytest.raises(Misconfigured, match=fault):
            read.require_money()
