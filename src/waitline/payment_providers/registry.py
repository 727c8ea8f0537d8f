"""Registry of payment providers: one entry each, used by settings, service and rehearsals.

To add a provider:

1. Add its module here, with a class that implements `port.Provider` and is built as
   `Adapter(key, webhook_secret)`, optionally with `url=`.
2. Add its entry to `PROVIDERS`.
3. If it needs a library, add an extra to pyproject.toml, and the library to requirements/dev.in.
4. Document in docs/operations.md what operators need beyond the table of settings.

`tests/payments/test_registry.py` compares every entry with the port. The adapter's own tests check
the promises of the port.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from waitline.kernel.errors import Misconfigured
from waitline.payment_providers import stripe_units
from waitline.payment_providers.port import Provider


@dataclass(frozen=True, slots=True)
class Registration:
    """One payment provider.

    Attributes:
        adapter: `module:class`, imported only when chosen: its library may not be installed.
        extra: Extra of this distribution with its library, and that library's own name; `None` if
            it needs none.
        url_required: Whether its URL must be set.
        secrets_required: Whether its key and the secret of its webhooks must be set.
        test_keys: Prefixes of test keys, which move no money; `("",)` if all are test keys.
        test_method: Payment method that succeeds with a test key.
        declined_method: Payment method that is declined with a test key.
        steps: The currencies that the adapter charges, with the step of prices in minor units;
            `None` for any price of any currency.
    """

    adapter: str
    extra: str | None = None
    url_required: bool = False
    secrets_required: bool = True
    test_keys: tuple[str, ...] = ()
    test_method: str = ""
    declined_method: str = ""
    steps: Mapping[str, int] | None = None


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
        steps=stripe_units.STEPS,
    ),
    # Source: https://docs.tosspayments.com/reference/using-api/api-keys. A billing key belongs to
    # one account, so there is no default for rehearsals.
    "toss": Registration(
        "waitline.payment_providers.toss:Toss",
        test_keys=("test_sk_", "test_gsk_"),
        test_method="REHEARSAL:BILLING_KEY", declined_method="REHEARSAL",
        steps=MappingProxyType({"KRW": 1}),
    ),
    "none": Registration(
        "waitline.payment_providers.no_provider:NoProvider", secrets_required=False,
    ),
})  # fmt: skip
"""The providers by name, as in the setting `payment_provider`."""


def open_provider(name: str, key: str, webhook_secret: str, url: str | None = None) -> Provider:
    """Return the adapter of a provider; it connects at the first call.

    Args:
        name: Name of an entry in `PROVIDERS`.
        key: Authenticates this shop to the provider.
        webhook_secret: Signs the provider's webhooks.
        url: URL of the provider; `None` for the adapter's default.

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
            f"the library of payment provider {name!r} is not installed: "
            f"pip install {registration.extra}"
        ) from None
    provider: Provider = make(key, webhook_secret, **({} if url is None else {"url": url}))
    return provider
