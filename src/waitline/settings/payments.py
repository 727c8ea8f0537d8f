"""Settings of payments: the provider, its secrets, and whether they fit the mode."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr

from waitline.booking.charging import Charging
from waitline.kernel.errors import Misconfigured
from waitline.payment_providers.registry import PROVIDERS
from waitline.settings.installation import PREFIX, InstallationSettings

if TYPE_CHECKING:
    PaymentProvider = str
else:
    PaymentProvider = Literal[tuple(PROVIDERS)]
Payments = Literal["real-money", "play-money"]


class PaymentSettings(InstallationSettings):
    """Settings of payments."""

    payments: Payments = Field(
        default="real-money",
        description="Money accepted in production mode; play-money is for rehearsals with the "
        "sandbox or a test key. Trial mode accepts play money only",
    )
    payment_provider: PaymentProvider = Field(
        default="sandbox", description="Payment provider; the sandbox accepts play money only"
    )
    sandbox_latency: str = Field(
        default="0.5..1",
        description="Latency of a charge in the sandbox of `waitline up`, in s: number or range",
    )
    payment_url: str | None = Field(
        default=None, description="Address of the payment provider; required for the sandbox"
    )
    payment_key: SecretStr | None = Field(
        default=None, description="API key (secret key) of the payment provider"
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="Signing secret of the payment provider's webhooks"
    )

    @property
    def play_money(self) -> bool:
        """Whether the payment provider moves no money: the sandbox, or another with a test key."""
        key = "" if self.payment_key is None else self.payment_key.get_secret_value()
        return key.startswith(PROVIDERS[self.payment_provider].test_keys)

    @property
    def takes_play_money(self) -> bool:
        """Whether buyers pay with play money: in trial mode, and on purpose in production."""
        return self.mode == "trial" or self.payments == "play-money"

    @property
    def money(self) -> str:
        """What buyers pay with, for display: `play money`, `real money`, or `none`."""
        if self.payment_provider == "none":
            return "none"
        return "play money" if self.takes_play_money else "real money"

    @property
    def charging(self) -> Charging:
        """What the payment provider charges."""
        return Charging(self.payment_provider, PROVIDERS[self.payment_provider].steps)

    def payment_secrets(self) -> tuple[str, str]:
        """Return the payment provider's key and webhook secret; empty where unset."""
        key, secret = self.payment_key, self.webhook_secret
        return (
            "" if key is None else key.get_secret_value(),
            "" if secret is None else secret.get_secret_value(),
        )

    def require_payments(self) -> None:
        """Check that the settings of the payment provider are complete; secrets have no defaults.

        Raises:
            Misconfigured: Settings that the provider needs are missing; a line for each.
        """
        provider = PROVIDERS[self.payment_provider]
        needed = ["payment_key", "webhook_secret"] if provider.secrets_required else []
        if provider.url_required:
            needed.append("payment_url")
        missing = [
            f"{PREFIX}{name.upper()} is not set: the payment provider {self.payment_provider!r} "
            "needs it. Set it, or use `waitline up` in trial mode, which includes a sandbox"
            for name in needed
            if getattr(self, name) is None
        ]
        if missing:
            raise Misconfigured("\n".join(missing))

    def require_money(self) -> None:
        """Check that the provider takes the money that this installation should take.

        Raises:
            Misconfigured: It would take real money in a trial, or play money in production.
        """
        fault = self._money_fault()
        if fault is not None:
            raise Misconfigured(fault)

    def _money_fault(self) -> str | None:
        """Return why the provider does not take the money that it should, or `None`."""
        name = self.payment_provider
        if name == "none" or (self.payment_key is None and name != "sandbox"):
            return None
        if self.play_money and not self.takes_play_money:
            kind = "the sandbox" if name == "sandbox" else f"a test key of {name!r}"
            return (
                f"payments would be of play money: {kind} is configured. Set "
                f"{PREFIX}PAYMENT_PROVIDER and a live {PREFIX}PAYMENT_KEY, or, to rehearse "
                f"production with play money, {PREFIX}PAYMENTS=play-money"
            )
        if not self.play_money and self.takes_play_money:
            why = "trial mode takes" if self.mode == "trial" else f"{PREFIX}PAYMENTS=play-money is"
            return (
                f"{why} play money only, but {PREFIX}PAYMENT_KEY is a live key of {name!r}: use a "
                "test key, or the sandbox"
            )
        return None
