"""Currencies and price steps that the payment provider charges. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from waitline.kernel.errors import Refused


class CurrencyNotCharged(Refused):
    """The payment provider does not charge the currency of a concert.

    Attributes:
        currency: The concert's currency.
        provider: Name of the payment provider.
        charged: The currencies that it charges.
    """

    def __init__(self, currency: str, provider: str, charged: Iterable[str]) -> None:
        super().__init__(currency, provider)
        self.currency = currency
        self.provider = provider
        self.charged = sorted(charged)

    @property
    def reason(self) -> str:
        """The reason, as a clause of a message."""
        if len(self.charged) == 1:
            return (
                f"the payment provider is {self.provider!r}, which charges {self.charged[0]} only"
            )
        return f"the payment provider is {self.provider!r}, which does not charge {self.currency}"


class Charging(NamedTuple):
    """What a payment provider charges.

    Attributes:
        provider: Its name, as in the setting.
        steps: The step of prices in minor units, by currency; `None` for any price of any currency.
    """

    provider: str = ""
    steps: Mapping[str, int] | None = None

    def step(self, currency: str) -> int:
        """Return the step of prices in a currency, in minor units.

        Raises:
            CurrencyNotCharged: The provider does not charge it.
        """
        if self.steps is None:
            return 1
        code = currency.upper()
        if code not in self.steps:
            raise CurrencyNotCharged(code, self.provider, self.steps)
        return self.steps[code]


ANYTHING = Charging()
"""Any price of any currency."""
