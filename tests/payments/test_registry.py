"""Every registered payment provider keeps the port; a new one is an entry and its module."""

import asyncio
import inspect
from types import MappingProxyType
from typing import get_args
from uuid import UUID

import pytest

from waitline import settings
from waitline.kernel.errors import Misconfigured
from waitline.payment_providers import registry
from waitline.payment_providers.model import (
    Charged,
    Money,
    NotCharged,
    RefundState,
    WebhookForged,
)
from waitline.payment_providers.port import Provider
from waitline.payment_providers.registry import PROVIDERS, Registration, open_provider

KEY, SECRET = "key-of-the-tests-0001", "secret-of-the-tests-0001"

CALLS = [name for name in vars(Provider) if not name.startswith("_")]


@pytest.mark.parametrize("name", PROVIDERS)
def test_each_keeps_the_port(name: str) -> None:
    url = "http://127.0.0.1:9" if PROVIDERS[name].url_required else None
    adapter = type(open_provider(name, KEY, SECRET, url))
    for call in CALLS:
        kept, promised = (inspect.signature(getattr(one, call)) for one in (adapter, Provider))
        assert kept == promised, call
    if PROVIDERS[name].secrets_required:
        assert PROVIDERS[name].test_method
        assert PROVIDERS[name].declined_method


def test_the_setting_offers_what_is_registered() -> None:
    field = settings.Settings.model_fields["payment_provider"]
    assert get_args(field.annotation) == tuple(PROVIDERS)


class Pigeon:
    """A provider as somebody may add it."""

    def __init__(
        self, key: str, webhook_secret: str, *, url: str = "https://pigeon.example"
    ) -> None:
        self.made = (key, webhook_secret, url)

    async def charge(self, key: UUID, amount: int, method: str) -> Charged:
        raise NotImplementedError


@pytest.mark.parametrize("url", [None, "http://elsewhere.example"])
def test_one_that_is_added_is_made_by_its_entry(
    monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    entry = Registration(f"{__name__}:Pigeon")
    monkeypatch.setattr(registry, "PROVIDERS", MappingProxyType({"pigeon": entry}))
    made = open_provider("pigeon", KEY, SECRET, url)
    assert isinstance(made, Pigeon)
    assert made.made == (KEY, SECRET, url or "https://pigeon.example")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Registration("no_such_library.adapter:Adapter", extra="pigeon")
    monkeypatch.setattr(registry, "PROVIDERS", MappingProxyType({"pigeon": entry}))
    with pytest.raises(Misconfigured, match="pip install pigeon"):
        open_provider("pigeon", KEY, SECRET)


def test_none_needs_no_secrets_and_declines_whatever_costs_something() -> None:
    chosen = settings.Settings(payment_provider="none", mode="production")
    chosen.require_payments()
    assert not chosen.play_money
    provider = open_provider("none", *chosen.payment_secrets())
    key = UUID(int=1)
    assert isinstance(asyncio.run(provider.charge(key, Money(100, "KRW"), "CARD")), NotCharged)
    assert isinstance(asyncio.run(provider.fetch_outcome(key, Money(100, "KRW"))), NotCharged)
    assert asyncio.run(provider.refund(key, "ref", Money(100, "KRW"))).state is RefundState.FAILED
    assert asyncio.run(provider.list_charges(0, None)).charges == []
    with pytest.raises(WebhookForged):
        provider.parse_webhook({}, b"")
