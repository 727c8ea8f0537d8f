"""The protection rules on Valkey: one document, replaced by compare-and-set on its version."""

from waitline.gate.model import ProtectionChanged, RuleSet, encode_document, parse_document
from waitline.queue import keys
from waitline.valkey import scripts
from waitline.valkey.client import ValkeyClient

PROTECT = scripts.load("waitline.gate", "protect")


class Protection:
    """The protection rules.

    Args:
        store: The server that holds them.
    """

    def __init__(self, store: ValkeyClient) -> None:
        self._store = store

    async def fetch(self) -> RuleSet:
        """Return the rules; none, with version 0, before the first are set."""
        document = await self._store.command("HGET", keys.PROTECTION, "document")
        return RuleSet(0) if document is None else parse_document(document.encode())

    async def replace(self, document: RuleSet) -> RuleSet:
        """Set the rules; `version` is the version that they replace.

        Returns:
            The rules as stored, with the next version.

        Raises:
            ProtectionChanged: The stored rules have another version.
        """
        following = RuleSet(document.version + 1, document.rules)
        text = encode_document(following).decode()
        rows = await self._store.run(PROTECT, (keys.PROTECTION,), (document.version, text))
        word, version = rows[0]
        if word == "changed":
            raise ProtectionChanged(version)
        return following
