"""Programs: each service's settings and secrets."""

from typing import TYPE_CHECKING

from aws_cdk import Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secrets

from waitline_aws.containers import MANAGEMENT_PORTS, Program
from waitline_aws.foundation import Foundation
from waitline_aws.sizes import Tasks
from waitline_aws.stores import VALKEY_PORT, Stores

if TYPE_CHECKING:
    from waitline_aws.installation import Given

SECRETS_GIVEN = {
    "signing-keys": "the text of keys.json",
    "operator-key": "the operator key",
    "payment": "JSON: key, webhook_secret",
}
"""Secrets that the operator makes before the first deployment, as waitline/NAME."""


class Programs:
    """Makes the programs of a stack's tasks.

    Args:
        stack: The stack.
        what: What the operator gave.
        foundation: Has the images.
        stores: Has the addresses of the stores, and their secrets.
    """

    def __init__(self, stack: Stack, what: "Given", foundation: Foundation, stores: Stores) -> None:
        self._what, self._foundation, self._stores = what, foundation, stores
        self._given = {
            name: secrets.Secret.from_secret_name_v2(stack, f"Given-{name}", f"waitline/{name}")
            for name in SECRETS_GIVEN
        }

    def of(self, service: str, tasks: Tasks) -> Program:
        """Return what the tasks of a service run; `tools` are the operators' commands."""
        stores = self._stores
        address = stores.valkey.attr_configuration_end_point_address
        return Program(
            service=service,
            repository=self._foundation.repositories[service],
            version=self._what.version,
            settings=self._settings(service, tasks),
            given=self._secrets(service),
            plain={"VALKEY_HOST": f"{address}:{VALKEY_PORT}"},
            prepared_by=self._database() if service == "booking" else None,
        )

    def _settings(self, service: str, tasks: Tasks) -> dict[str, str]:
        box_office = {
            "WAITLINE_QUEUE_PUBLIC_URL": f"https://{self._what.queue_host}",
            "WAITLINE_PAYMENT_PROVIDER": self._what.payments,
        }
        return {
            "queue": {"WAITLINE_WORKERS": str(tasks.workers)},
            "booking": {"WAITLINE_BOOKING_WORKERS": str(tasks.workers), **box_office},
            "admitter": {"WAITLINE_ADMITTER_MANAGEMENT_PORT": str(MANAGEMENT_PORTS["admitter"])},
            "tools": box_office,
        }[service]

    def _secrets(self, service: str) -> dict[str, ecs.Secret]:
        secret, given = ecs.Secret.from_secrets_manager, self._given
        found = {"VALKEY_SECRET": secret(self._stores.valkey_secret)}
        if service != "admitter":
            found["SIGNING_KEYS"] = secret(given["signing-keys"])
            found["WAITLINE_OPERATOR_KEY"] = secret(given["operator-key"])
        if service in {"booking", "tools"}:
            _, found["DATABASE_SECRET"] = self._database()
            found["WAITLINE_PAYMENT_KEY"] = secret(given["payment"], "key")
            found["WAITLINE_WEBHOOK_SECRET"] = secret(given["payment"], "webhook_secret")
        return found

    def _database(self) -> tuple[ecs.Secret, ecs.Secret]:
        """Return the secrets of the database's owner and of its user."""
        owner = self._stores.database.secret
        assert owner is not None
        secret = ecs.Secret.from_secrets_manager
        return secret(owner), secret(self._stores.user_secret)
