"""The registry of payment providers: one entry each; settings, service and rehearsals follow it.

To add a provider:

1. Its module here, with a class that keeps `port.Provider`, made as `Adapter(key, webhook_secret)`
   or with `url=`.
2. Its entry in `PROVIDERS`.
3. If it needs a library: an extra in pyproject.toml, and requirements/dev.in.
4. docs/operations.md, if operators must know more than the table of settings says.

`tests/payments/test_registry.py` holds every entry against the port; the adapter's own tests hold
it to the promises of the port.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from waitline.kernel.errors import Misconfigured
from waitline.payment_providers.port import Provider


@dataclass(frozen=True, slots=True)
class Registration:
    """One payment provider.

    Attributes:
        adapter: `module:class`, imported once it is chosen: its library may not be installed.
        extra: Of this distribution, with the library; `None` if there is none.
        url_required: Whether its address must be set, or the adapter knows it.
        test_keys: Prefixes of the keys with which it moves no money; `("",)` if no key does.
        test_method: Payment method that succeeds with such a key.
        declined_method: Payment method that it then declines.
    """

    adapter: str
    extra: str | None = None
    url_required: bool = False
    test_keys: tuple[str, ...] = ()
    test_method: str = ""
    declined_method: str = ""


PROVIDERS: Mapping[str, Registration] = MappingProxyType({
    "sandbox": Registration(
        "waitline.payment_providers.sandbox.adapter:Sandbox",
        url_required=True, test_keys=("",), test_method="CARD", declined_method="DECLINE",
    ),
    # Source: https://docs.stripe.com/keys and https://docs.stripe.com/testing.
    "stripe": Registration(
        "waitline.payment_providers.stripe:Stripe",
        extra="stripe", test_keys=("sk_test_", "rk_test_"),
        test_method="pm_card_visa", declined_method="pm_card_visa_chargeDeclined",
    ),
})  # fmt: skip
"""By the name that the setting `payment_provider` chooses."""


def open_provider(name: str, key: str, webhook_secret: str, url: str | None = None) -> Provider:
    """Return the adapter of a provider; it connects at the first call.

    Args:
        name: Of an entry in `PROVIDERS`.
        key: Authenticates this shop to the provider.
        webhook_secret: Signs the provider's webhooks.
        url: Address of the provider; `None` where the adapter knows it.

    Raises:
        Misconfigured: Its library is not installed.
    """
    registration = PROVIDERS[name]
    module, _, adapter = registration.adapter.partition(":")
    try:
        make = getattr(import_module(module), adapter)
    except ImportError:
        if registration.extra is None:
            raise
        raise Misconfigured(
            f"payment provider {name!r} is not installed: "
            f"pip install 'waitline[{registration.extra}]'"
        ) from None
    provider: Provider = make(key, webhook_secret, **({} if url is None else {"url": url}))
    return provider
